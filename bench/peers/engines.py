"""Engines that answer measurements: ours, llama.cpp as PyPI has it, and builds of llama.cpp or ik_llama.cpp.

Every engine runs on its own, waits while another one is measured, and uses as many threads as it was told.
"""

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.peers.gguf_header import step_bytes
from bench.peers.measurement import Measurement
from bench.peers.shape import Shape

ROOT = Path(__file__).resolve().parents[2]
QUANTIZATION = {"int4": "int4", "int8": "int8", "bf16": "none"}  # of ours, by type


class Engine(Protocol):
    name: str
    version: str
    step_bytes: int  # of weights that every step reads

    def measure(self, measurements: list[Measurement]) -> list[float]:
        """Tokens a second of each."""

    def close(self) -> None:
        """Ends its process, if it has one."""


class LineProcess:
    """A program that answers every line of its input with one line of JSON, and says one before the first."""

    def __init__(self, command: list[str], environment: dict | None = None):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                                         env=environment)
        self.hello = self._answer()

    def ask(self, line: str) -> dict:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[0]} ended with {self._process.wait(timeout=60)}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@dataclass
class Ceilings:
    """What the machine can do at this minute, all threads together."""
    bandwidth: float  # bytes a second
    int8: float  # operations a second
    bf16: float

    def peak(self, kind: str) -> float:
        return self.bf16 if kind == "bf16" else self.int8


class Runahead:
    name = "runahead"

    def __init__(self, binary: Path, shape: Shape, kind: str, threads: int, flags: list[str]):
        command = [str(binary), "bench", "steps", "--measure", "-", "--model", str(shape.directory), "--load-format",
                   "dummy", "--threads", str(threads), "--quantization", QUANTIZATION[kind], *flags]
        self._process = LineProcess(command)
        hello = self._process.hello
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        self.version = f"{version}; {hello['device']}"
        self.step_bytes = hello["step_bytes"]
        self.step_weights = hello["step_weights"]
        self.kv_bytes_per_token = hello["kv_bytes_per_token"]

    def measure(self, measurements: list[Measurement]) -> list[float]:
        return [self._process.ask(m.line())["tokens_per_second"] for m in measurements]

    def ceilings(self) -> Ceilings:
        bandwidth = self._process.ask("bandwidth")["gb_per_second"]
        peak = self._process.ask("peak")
        return Ceilings(1e9 * bandwidth, 1e9 * peak["int8_gops"], 1e9 * peak["bf16_gflops"])

    def close(self) -> None:
        self._process.close()


class LlamaPython:
    """llama-cpp-python in its own environment; steps as ours are cut, verification included."""
    name = "llama.cpp"

    def __init__(self, peers: Path, model: Path, threads: int):
        self._process = LineProcess([str(peers / "venv/bin/python"), str(ROOT / "bench/peers/llama_worker.py"),
                                     str(model), str(threads)])
        self.version = self._process.hello["version"]
        self.step_bytes = step_bytes(model)

    def measure(self, measurements: list[Measurement]) -> list[float]:
        return [self._process.ask(m.line())["tokens_per_second"] for m in measurements]

    def close(self) -> None:
        self._process.close()


@dataclass
class ToolFlags:
    """What a build's tools want said to be at their best."""
    bench: list[str] = field(default_factory=list)  # llama-bench
    batched: list[str] = field(default_factory=list)  # llama-batched-bench, and llama-server


class Tools:
    """A build of llama.cpp or of ik_llama.cpp, by its own benches, which load the model anew in every turn.

    They know no step of many rows of one sequence with logits of all; sequences that share the prompt's K/V stand for
    it.
    """

    def __init__(self, name: str, folder: Path, model: Path, threads: int, flags: ToolFlags):
        self.name = name
        self._folder, self._model, self._threads, self._flags = folder, model, threads, flags
        self.step_bytes = step_bytes(model)
        self.version = self._version()

    def measure(self, measurements: list[Measurement]) -> list[float]:
        first = measurements[0]
        assert all((m.kind, m.context, m.repeats) == (first.kind, first.context, first.repeats) for m in measurements)
        rows = ",".join(str(m.rows) for m in measurements)
        if first.kind == "prefill":
            output = self._run("llama-bench", "-p", rows, "-n", "0", "-r", str(first.repeats), "-o", "json",
                               *self._flags.bench)
            speeds = read_llama_bench(output)
        else:
            most = max(m.rows for m in measurements)
            is_shared = first.kind == "verify"
            tokens = (first.context if is_shared else most * first.context) + most * first.repeats
            output = self._run("llama-batched-bench", "-c", str(tokens + 256 * most), "-b", "2048", "-npp",
                               str(first.context), "-ntg", str(first.repeats), "-npl", rows,
                               *(["-pps"] if is_shared else []), *self._flags.batched)
            speeds = read_batched_bench(output)
        return [speeds[m.rows] for m in measurements]

    def close(self) -> None:
        pass

    def _run(self, tool: str, *flags: str) -> str:
        command = [str(self._folder / tool), "-m", str(self._model), "-t", str(self._threads), *flags]
        # Some write a log where they run.
        run = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir())
        if run.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {run.returncode}:\n{run.stderr[-2000:]}")
        # ik_llama.cpp's table goes to standard error.
        return run.stdout if tool == "llama-bench" else run.stdout + run.stderr

    def _version(self) -> str:
        command = [str(self._folder / "llama-server"), "--version"]
        run = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"version: .*", run.stdout + run.stderr)
        return found[0] if found else "version unknown"


def read_llama_bench(output: str) -> dict[int, float]:
    """Prompt length to tokens a second, of llama-bench -o json."""
    return {run["n_prompt"]: run["avg_ts"] for run in json.loads(output[output.index("["):])}


def read_batched_bench(output: str) -> dict[int, float]:
    """Sequences to tokens a second of generation, of llama-batched-bench's table: | PP | TG | B | N_KV | T_PP s |
    S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |"""
    speeds = {}
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 10 and cells[0].isdigit():
            speeds[int(cells[2])] = float(cells[7])
    return speeds
