"""nginx and HAProxy, as deploy/ sets them up, before two servers: under load one is killed, returns, and drains."""

import os
import re
import shutil
import socket
import subprocess
import time

import httpx
import pytest

from balanced_load import Load, assert_answers_are
from server_process import ROOT, ServerProcess, wait_until

FILES = {"nginx": ROOT / "deploy/nginx/nginx.conf", "haproxy": ROOT / "deploy/haproxy/haproxy.cfg"}


def find(program: str) -> str | None:
    """RUNAHEAD_NGINX and RUNAHEAD_HAPROXY name others than the system's."""
    named = os.environ.get(f"RUNAHEAD_{program.upper()}")
    return named or shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ReturnedServer(ServerProcess):
    """Another process at the ports of one that is gone."""

    def __init__(self, gone: ServerProcess):
        super().__init__()
        for flag, port in (("--http-port", gone.http_port), ("--grpc-port", gone.grpc_port)):
            self._command[self._command.index(flag) + 1] = str(port)

    def __enter__(self) -> "ReturnedServer":
        # A port of this range may be some connection's own by now, and stays so for a minute after its end.
        end = time.monotonic() + 120
        while True:
            try:
                return super().__enter__()
            except RuntimeError as error:
                if "in use" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(1)


class Proxy:
    """The file of deploy/ with addresses of this test, and nothing else changed."""

    def __init__(self, program: str, servers: list[ServerProcess], folder):
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url, self.grpc_target = f"http://127.0.0.1:{self.http_port}", f"127.0.0.1:{self.grpc_port}"
        text = FILES[program].read_text()
        for i, server in enumerate(servers):
            text = text.replace(f"runahead-{i}:8000", f"127.0.0.1:{server.http_port}")
            text = text.replace(f"runahead-{i}:50051", f"127.0.0.1:{server.grpc_port}")
            text = re.sub(rf"(:{server.grpc_port} .*check port )8000", rf"\g<1>{server.http_port}", text)
        for given, ours in ((8080, self.http_port), (50052, self.grpc_port)):
            text, count = re.subn(rf"(listen |bind :){given}\b",
                                  lambda m: f"{m[1].replace(':', '127.0.0.1:')}{ours}", text)
            assert count == 1
        file = folder / FILES[program].name
        file.write_text(text)
        run_as = "user root;" if os.geteuid() == 0 else ""
        self.command = {
            "nginx": [find("nginx"), "-p", str(folder), "-c", str(file), "-g", f"daemon off; {run_as}"],
            "haproxy": [find("haproxy"), "-f", str(file), "-db"]}[program]
        subprocess.run([*self.command, "-t" if program == "nginx" else "-c"], check=True, capture_output=True)
        self._log = (folder / "log").open("w+")

    def __enter__(self) -> "Proxy":
        self.process = subprocess.Popen(self.command, stdout=self._log, stderr=subprocess.STDOUT)
        wait_until(self._is_ready, "ready", 30)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "the proxy ended"
        try:
            return httpx.get(f"{self.url}/ready", timeout=30).status_code == 200
        except httpx.TransportError:
            return False


def running(server: ServerProcess) -> float:
    return server.metric("runahead_requests_running")


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_servers_may_die_return_and_drain(program, tmp_path, api):
    if find(program) is None:
        pytest.skip(f"no {program}: scripts/deps.sh deploy installs it")
    with ServerProcess() as first, ServerProcess() as second, Proxy(program, [first, second], tmp_path) as proxy:
        load = Load(proxy.url, proxy.grpc_target, api)
        with load:
            load.wait_for(30)
            for server in (first, second):  # the slower one may take its time
                wait_until(lambda: server.metric("runahead_requests_finished_total") > 10 or load.failures, "both serve")
            wait_until(lambda: running(first) >= 3, "busy")
            first.process.kill()
            first.process.wait()
            load.wait_for(30)
        print(f"\n{program}, one of two servers killed: {dict(load.outcomes)}")
        assert load.failures == []
        # Only what was half sent is cut, visibly, and of each client at most the one request it had under way.
        assert load.outcomes["stream cut"] <= 3 and load.outcomes["grpc cut"] <= 3
        assert load.outcomes["stream ok"] > 0 and load.outcomes["grpc ok"] > 0
        assert_answers_are(load, second.url)

        with ReturnedServer(first) as returned:
            load = Load(proxy.url, proxy.grpc_target, api)
            with load:
                wait_until(lambda: returned.metric("runahead_requests_finished_total") > 3 or load.failures, "used")
                load.wait_for(15)
                code = returned.terminate()
                load.wait_for(15)
            print(f"{program}, one of two servers drained: {dict(load.outcomes)}")
            assert code == 0
            assert load.failures == []
            assert load.outcomes["stream cut"] == 0 and load.outcomes["grpc cut"] == 0
            assert_answers_are(load, second.url)
