"""A real `runahead serve` process on free ports, for tests that speak to it as its users do."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("RUNAHEAD_BINARY", ROOT / "build/release/server/runahead"))
DEMO_MODEL = ROOT / "models/demo/target"


# Tokens of one answer that no test lives to see the end of: each step reads all keys so far, so 400 000 of them take
# minutes on any machine. The context has room for a prompt beside them.
ENDLESS_TOKENS = 400_000


def make_endless_model(directory: Path) -> Path:
    """A checkpoint directory for --load-format dummy: the demo model's tokenizer, one small layer, a huge context."""
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(DEMO_MODEL / name, directory)
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    config.update(hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
                  num_key_value_heads=1, head_dim=32, max_position_embeddings=1 << 19)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def endless_flags(*flags: str) -> tuple[str, ...]:
    """What serves that directory; a little more memory for keys than one whole context takes."""
    return ("--served-model-name", "endless", "--load-format", "dummy", "--kv-cache-bytes", str(80 << 20), *flags)


def wait_until(condition, what: str, timeout_s: float = 120, pause_s: float = 0.01) -> None:
    """The limit only ends a test that has failed: no state that is waited for here takes a second on an idle machine."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"in {timeout_s} s: not {what}"
        time.sleep(pause_s)


class ServerProcess:
    """Starts on entry, waits until /ready says 200, and is terminated on exit. `flags` go to `runahead serve`.

    The server picks its ports itself and prints them: a port that a test probed for may be taken a moment later.
    """

    http_port: int
    grpc_port: int

    def __init__(self, *flags: str, model: Path = DEMO_MODEL, start_timeout_s: float = 120, http_port: int = 0):
        self._log = tempfile.TemporaryFile("w+")
        self._timeout = start_timeout_s
        self._command = [str(BINARY), "serve", "--model", str(model), "--host", "127.0.0.1",
                         "--http-port", str(http_port), "--grpc-port", "0", *flags]

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
                self.process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise RuntimeError(f"the server ignored SIGTERM:\n{self.log()}")
        self._log.close()

    def _is_ready(self) -> bool:
        printed = re.search(r"gRPC on \S+:(\d+)\n.* on (https?)://127\.0\.0\.1:(\d+) .*\n", self.log())
        if printed is None:
            return False
        self.grpc_port, self.http_port = int(printed[1]), int(printed[3])
        self.grpc_target = f"127.0.0.1:{self.grpc_port}"
        self.url = f"{printed[2]}://127.0.0.1:{self.http_port}"
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    def terminate(self) -> int:
        """SIGTERM; the exit code once it is gone."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    def log(self) -> str:
        # Not by seeking: the offset is the server's too.
        return os.pread(self._log.fileno(), 1 << 30, 0).decode(errors="replace")

    def metrics(self) -> dict[str, float]:
        """One scrape: series ("name{labels}", labels as exported) to value."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
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
