"""Fixtures: one server of the demo model for all tests of a file."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server_process import ServerProcess  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with ServerProcess() as process:
        yield process
