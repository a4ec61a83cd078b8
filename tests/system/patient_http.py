"""httpx's calls with a time limit that only ends a test that has failed: its own 5 s may pass on a busy machine."""

from functools import partial

import httpx

get = partial(httpx.get, timeout=120)
post = partial(httpx.post, timeout=120)
options = partial(httpx.options, timeout=120)
request = partial(httpx.request, timeout=120)
stream = partial(httpx.stream, timeout=120)
