"""httpx's calls with a time limit that only ends a test that has failed: its own 5 s may pass on a busy machine.

They share what reads the system's certificates, which otherwise costs every call some 20 ms.
"""

import ssl
from functools import partial

import httpx

_patient = dict(timeout=120, verify=ssl.create_default_context())

get = partial(httpx.get, **_patient)
post = partial(httpx.post, **_patient)
options = partial(httpx.options, **_patient)
request = partial(httpx.request, **_patient)
stream = partial(httpx.stream, **_patient)
