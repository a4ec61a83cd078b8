"""The container image, run as an orchestrator runs it: not as root, on a read-only root file system, with no rights.

scripts/test_image builds the image and says in the environment how containers run here; without it all of this skips.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import patient_http
from server_process import ROOT, wait_until

IMAGE = os.environ.get("RUNAHEAD_IMAGE", "")
PODMAN = shlex.split(os.environ.get("RUNAHEAD_PODMAN", "podman"))
RUN_FLAGS = shlex.split(os.environ.get("RUNAHEAD_RUN_FLAGS", "--network host"))
LOCKED_DOWN = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
UID = 10001

pytestmark = pytest.mark.skipif(not IMAGE, reason="no image: scripts/test_image builds one and runs this")


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
    return done


def run_once(*arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """`podman run IMAGE arguments` to its end."""
    return podman("run", "--rm", *RUN_FLAGS, *LOCKED_DOWN, *flags, IMAGE, *arguments, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Container:
    """The image with no arguments; on a network shared with others, only its ports are moved."""

    def __init__(self, *flags: str):
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.id = podman("create", *RUN_FLAGS, *LOCKED_DOWN, "-e", f"RUNAHEAD_HTTP_PORT={self.http_port}",
                         "-e", f"RUNAHEAD_GRPC_PORT={self.grpc_port}", *flags, IMAGE).stdout.strip()

    def __enter__(self) -> "Container":
        begin = time.monotonic()
        podman("start", self.id)
        wait_until(self.is_ready, "ready", 60)
        self.start_s = time.monotonic() - begin
        return self

    def __exit__(self, *_) -> None:
        podman("rm", "-f", "-t", "1", "-v", self.id)

    def is_ready(self) -> bool:
        assert self.state()["Running"], podman("logs", self.id).stdout
        try:
            return patient_http.get(f"{self.url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def state(self) -> dict:
        return json.loads(podman("inspect", "--format", "{{json .State}}", self.id).stdout)


@pytest.fixture(scope="module")
def container():
    with Container() as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Names of all files in the image."""
    made = podman("create", IMAGE).stdout.strip()
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    podman("export", "-o", str(archive), made)
    podman("rm", "-v", made)
    listed = subprocess.run(["tar", "tf", str(archive)], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def test_it_is_small(files):
    size = int(podman("image", "inspect", "--format", "{{.Size}}", IMAGE).stdout)
    print(f"image: {size / 1e6:.1f} MB, {len(files)} files")
    assert size <= 150e6


def test_it_says_what_it_is():
    image = json.loads(podman("image", "inspect", IMAGE).stdout)[0]
    config = image["Config"]
    assert config["User"] == f"{UID}:{UID}"
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert set(config["ExposedPorts"]) == {"8000/tcp", "50051/tcp"}
    assert set(config["Volumes"]) == {"/models"}
    assert config["Entrypoint"] == ["/usr/bin/runahead"] and config["Cmd"] == ["serve"]
    check = config.get("Healthcheck") or image["Healthcheck"]  # where depends on podman's version
    assert check["Test"] == ["CMD", "/usr/bin/runahead", "health"]
    for label in ("title", "description", "version", "revision"):
        assert config["Labels"][f"org.opencontainers.image.{label}"]
    assert run_once("--version").stdout.strip() == config["Labels"]["org.opencontainers.image.version"]


def test_it_holds_no_tools(files):
    names = {Path(name).name for name in files}
    assert {"runahead", "ca-certificates.crt", "passwd", "model.safetensors"} <= names
    for tool in ("sh", "bash", "dash", "busybox", "python3", "perl", "gcc", "g++", "cc1plus", "apt", "apt-get", "dpkg"):
        assert tool not in names
    assert run_once("-c", "true", flags=("--entrypoint", "/bin/sh")).returncode != 0
    libraries = [name for name in names if ".so" in name]
    licences = [name for name in files if name.endswith("/copyright")]
    assert len(libraries) > 5 and len(licences) > 5


def test_it_serves_the_demo_model_in_three_seconds(container):
    print(f"from `podman start` to a ready server: {container.start_s:.2f} s")
    assert container.start_s < 3
    models = patient_http.get(f"{container.url}/v1/models").json()["data"]
    assert [model["id"] for model in models] == ["demo"]


def test_it_is_not_root_and_cannot_write(container):
    status = Path(f"/proc/{container.state()['Pid']}/status").read_text()
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(UID)] * 4
    assert int(fields["CapEff"], 16) == 0
    assert json.loads(podman("inspect", "--format", "{{json .HostConfig.ReadonlyRootfs}}", container.id).stdout) is True


def test_http_speaks(container):
    answer = patient_http.post(f"{container.url}/v1/chat/completions", json={
        "model": "demo", "temperature": 0, "max_tokens": 40,
        "messages": [{"role": "user", "content": "Count from 1 to 10."}]}).json()
    text = answer["choices"][0]["message"]["content"]
    print(f"HTTP: {text!r}")
    assert "1, 2, 3" in text or "one, two" in text.lower()


def test_grpc_speaks(container, api):
    messages, stubs = api
    with grpc.insecure_channel(f"127.0.0.1:{container.grpc_port}") as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        request = messages.GenerateRequest(model="demo", text="Once upon a time")
        request.options.max_tokens = 12
        replies = list(stubs.InferenceServiceStub(channel).Generate(request, timeout=60))
    print(f"gRPC: {''.join(reply.text for reply in replies)!r}")
    assert replies[-1].usage.completion_tokens == 12


def test_its_health_follows_the_server(container):
    """The container's own check: well, then hung, then well again."""
    assert podman("healthcheck", "run", container.id, check=False).returncode == 0
    pid = container.state()["Pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        hung = podman("exec", container.id, "/usr/bin/runahead", "health", "--timeout-ms", "300", check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert hung.returncode == 1 and "no answer within 300 ms" in hung.stderr
    assert podman("exec", container.id, "/usr/bin/runahead", "health").returncode == 0


def test_settings_come_by_file_variable_flag_and_volume(tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"model": "/models/target", "max_model_len": 256, "max_num_seqs": 3}))
    settings.chmod(0o644)
    tmp_path.chmod(0o755)
    flags = ("-v", f"{settings}:/etc/runahead/config.json:ro", "-v", f"{ROOT}/models/demo:/models:ro",
             "-e", "RUNAHEAD_MAX_MODEL_LEN=192", "-e", "RUNAHEAD_SERVED_MODEL_NAME=mine")
    with Container(*flags) as other:
        model = patient_http.get(f"{other.url}/v1/models").json()["data"][0]
        assert model["id"] == "mine" and model["max_model_len"] == 192
    planned = run_once("plan", "--max-model-len", "64", flags=flags)
    assert planned.returncode == 0 and "64" in planned.stdout, planned.stderr
    refused = run_once("serve", "--max-num-seqs", "0", flags=flags)
    assert refused.returncode == 1 and "--max-num-seqs must be from 1" in refused.stderr


def test_a_stop_lets_answers_end():
    """`podman stop` sends SIGTERM: what runs is finished, and the exit code is 0."""
    with Container() as stopped:
        answers = []

        def ask() -> None:
            answers.append(patient_http.post(f"{stopped.url}/v1/completions", json={
                "model": "demo", "prompt": "Once", "max_tokens": 700, "ignore_eos": True, "n": 64}))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: "runahead_requests_running{model=\"demo\"} 1" in
                   patient_http.get(f"{stopped.url}/metrics").text, "running")
        podman("stop", "-t", "60", stopped.id)
        asking.join()
        assert answers[0].status_code == 200
        assert answers[0].json()["usage"]["completion_tokens"] == 64 * 700
        state = stopped.state()
        print(f"after SIGTERM: exit code {state['ExitCode']}")
        assert state["ExitCode"] == 0 and not state["OOMKilled"]
