"""Fixtures: one server of the demo model for all tests of a file, and one whose answers outlive every test."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server_process import ROOT, ServerProcess, endless_flags, make_endless_model  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with ServerProcess() as process:
        yield process


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory):
    return make_endless_model(tmp_path_factory.mktemp("endless"))


@pytest.fixture(scope="module")
def endless(endless_model):
    """A request for ENDLESS_TOKENS runs here until somebody ends it, on a machine of any speed."""
    with ServerProcess(*endless_flags(), model=endless_model) as process:
        yield process


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """(inference_pb2, inference_pb2_grpc), generated from the contract."""
    out = tmp_path_factory.mktemp("stubs")
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}",
                    f"--grpc_python_out={out}", "runahead/v1/inference.proto"], check=True)
    sys.path.insert(0, str(out))
    from runahead.v1 import inference_pb2, inference_pb2_grpc
    return inference_pb2, inference_pb2_grpc
