"""A Prometheus of our own beside a server: the project's configuration with another target, and its HTTP API."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx

CONFIG = Path(__file__).resolve().parents[2] / "docker/prometheus"
BINARY = shutil.which("prometheus")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PrometheusProcess:
    """Starts on entry with docker/prometheus' rules, scraping `target` ("127.0.0.1:8000") every `interval`; ends on exit."""

    def __init__(self, directory: Path, target: str, interval: str = "1s"):
        self._directory, self._target, self._interval = directory, target, interval

    def __enter__(self) -> "PrometheusProcess":
        shutil.copytree(CONFIG, self._directory, dirs_exist_ok=True)
        config = self._directory / "prometheus.yml"
        text, num_targets = re.subn(r'"runahead:8000"', f'"{self._target}"', config.read_text())
        text, num_intervals = re.subn(r"(_interval:) \w+", rf"\1 {self._interval}", text)
        assert (num_targets, num_intervals) == (1, 2), "docker/prometheus/prometheus.yml has another form"
        config.write_text(text)
        self._log = open(self._directory / "log", "w+")
        for _ in range(5):  # the port that was free may be taken by now
            if self._start(free_port(), config):
                return self
        raise RuntimeError(f"Prometheus did not start:\n{self.log()}")

    def _start(self, port: int, config: Path) -> bool:
        self.url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.url, timeout=120, verify=False)
        self._process = subprocess.Popen(
            [BINARY, f"--config.file={config}", f"--storage.tsdb.path={self._directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=self._log, stderr=subprocess.STDOUT)
        while self._process.poll() is None:
            try:
                if self._client.get("/-/ready").status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        return False

    def __exit__(self, *_) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(timeout=60)
        self._log.close()

    def log(self) -> str:
        return (self._directory / "log").read_text()

    def get(self, path: str, **parameters):
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters}: {answer['error']}")
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict]:
        return self.get("query", query=expression, **({} if at is None else {"time": at}))["result"]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict]:
        return self.get("query_range", query=expression, start=start, end=end, step=step)["result"]


def filled_in(expression: str, window: str, span: str) -> str:
    """A panel's expression as Grafana would send it, for all models and servers."""
    for name, value in (("$__rate_interval", window), ("$__range", span), ("$model", ".*"), ("$instance", ".*")):
        expression = expression.replace(name, value)
    return expression
