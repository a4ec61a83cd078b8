"""Servers of the engines, each loaded and idle until its turn: ours, llama-server of a build, or llama_cpp.server."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.peers.engines import QUANTIZATION, ROOT
from bench.peers.shape import Shape

DEMO = ROOT / "models/demo/target"
STREAMS = 8


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    """A server process that answers /v1/completions once `ready_path` says 200."""

    takes_ids = True  # prompts may be token ids; else text of one token a character

    def __init__(self, name: str, command: list[str], port: int, ready_path: str):
        self.name, self.port = name, port
        self._log = tempfile.TemporaryFile("w+")
        # Some write a log where they run.
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT,
                                         cwd=tempfile.gettempdir())
        deadline = time.monotonic() + 600
        while not self._answers(ready_path):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                self._log.seek(0)
                raise RuntimeError(f"{' '.join(command)} does not serve:\n{self._log.read()[-2000:]}")
            time.sleep(0.1)

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.HTTPError):
            return False


def write_checkpoint(shape: Shape, folder: Path) -> None:
    """What --load-format dummy serves: the shape, and the demo model's tokenizer with names up to its vocabulary."""
    tokenizer = json.loads((DEMO / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    known = max(vocabulary.values()) + 1
    vocabulary.update({f"name{i}": i for i in range(known, shape.vocab)})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copy(DEMO / "tokenizer_config.json", folder)
    config = json.loads((shape.directory / "config.json").read_text())
    demo = json.loads((DEMO / "config.json").read_text())
    config.update({key: demo[key] for key in ("bos_token_id", "eos_token_id")})
    (folder / "config.json").write_text(json.dumps(config))


def serve_runahead(binary: Path, shape: Shape, kind: str, threads: int, context: int, flags: list[str]) -> Server:
    """Random weights repeat themselves as no text does, so nothing drafts."""
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    write_checkpoint(shape, folder)
    port = free_port()
    try:
        return Server("runahead", [
            str(binary), "serve", "--model", str(folder), "--served-model-name", "model", "--load-format", "dummy",
            "--quantization", QUANTIZATION[kind], "--threads", str(threads), "--max-model-len", str(context),
            "--drafters", "none", "--host", "127.0.0.1", "--http-port", str(port), "--grpc-port", "0", *flags],
            port, "/ready")
    finally:
        shutil.rmtree(folder)


def serve_tools(name: str, folder: Path, model: Path, threads: int, context: int, flags: list[str]) -> Server:
    port = free_port()
    return Server(name, [str(folder / "llama-server"), "-m", str(model), "-t", str(threads), "-np", str(STREAMS), "-c",
                         str(STREAMS * context), "--host", "127.0.0.1", "--port", str(port), *flags], port, "/health")


def serve_python(peers: Path, model: Path, threads: int, context: int) -> Server:
    """llama-cpp-python's own server: one request after the other (by default a new one ends the one before)."""
    port = free_port()
    server = Server("llama_cpp.server", [
        str(peers / "venv/bin/python"), "-m", "llama_cpp.server", "--model", str(model), "--n_threads", str(threads),
        "--n_ctx", str(context), "--cache", "true", "--interrupt_requests", "false", "--host", "127.0.0.1", "--port",
        str(port)], port, "/v1/models")
    server.takes_ids = False
    return server
