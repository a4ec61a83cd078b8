"""A real `runahead serve` process on free ports, for tests that speak to it as its users do."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("RUNAHEAD_BINARY", ROOT / "build/release/server/runahead"))
DEMO_MODEL = ROOT / "models/demo/target"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ServerProcess:
    """Starts on entry, waits until /ready says 200, and is terminated on exit. `flags` go to `runahead serve`."""

    def __init__(self, *flags: str, model: Path = DEMO_MODEL, start_timeout_s: float = 120):
        self.http_port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.grpc_target = f"127.0.0.1:{self.grpc_port}"
        self._log = tempfile.TemporaryFile("w+")
        self._timeout = start_timeout_s
        self._command = [str(BINARY), "serve", "--model", str(model), "--host", "127.0.0.1",
                         "--http-port", str(self.http_port), "--grpc-port", str(self.grpc_port), *flags]

    def __enter__(self) -> "ServerProcess":
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=subprocess.STDOUT, cwd=ROOT)
        deadline = time.monotonic() + self._timeout
        while not self._is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server exited with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the server was not ready in time:\n{self.log()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise RuntimeError(f"the server ignored SIGTERM:\n{self.log()}")
        self._log.close()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def terminate(self) -> int:
        """SIGTERM; the exit code once it is gone."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def log(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    def metrics(self) -> dict[str, float]:
        """One scrape: series ("name{labels}", labels as exported) to value."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def metric(self, name: str, **labels: str) -> float:
        """Sum over the series of `name` whose labels include these."""
        total = 0.0
        for series, value in self.metrics().items():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})?", series)
            if match.group(1) == name and all(f'{k}="{v}"' in (match.group(2) or "") for k, v in labels.items()):
                total += value
        return total


def assert_metrics_reconcile(metrics: dict[str, float]) -> None:
    """The equation of docs/metrics.md, over one scrape."""
    def total(name: str) -> float:
        return sum(v for series, v in metrics.items() if series.split("{")[0] == f"runahead_requests_{name}")

    received = total("received_total")
    parts = {name: total(name) for name in ("finished_total", "rejected_total", "cancelled_total", "expired_total",
                                            "failed_total", "waiting", "running")}
    assert received == sum(parts.values()), f"received {received}, but {parts}"
