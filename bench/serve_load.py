"""How fast /health answers while many streams are served, measured from outside.

    .venv/bin/python bench/serve_load.py [--clients 256] [--rounds 4] [--tokens 64]

Needs a built binary (RUNAHEAD_BINARY, default build/release/server/runahead). The streams are those of `runahead bench
serve`, which tells their throughput and latency; clients and server share the machine's cores. /health is probed from a
process of its own, like a load balancer's. The same process probes, in turn, a process that does nothing but send a
byte back: what that takes is how long anybody waits for a core on this machine just then. Of each probe it says how
long the probe itself waited for a core, which is no part of what the server does.
"""

import argparse
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/system"))

from server_process import BINARY, ServerProcess  # noqa: E402


def quantile(values: list[float], fraction: float) -> float:
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def echo_for_ever(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while received := connection.recv(4096):
        connection.sendall(received)


def waited_s() -> float:
    """How long this process has stood ready without a core (Linux), else 0."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


@dataclass
class Probes:
    """Seconds each probe took, /health's and the echo's, and waited itself."""
    health_s: list[float] = field(default_factory=list)
    health_own_waits_s: list[float] = field(default_factory=list)
    echo_s: list[float] = field(default_factory=list)

    def add(self, other: "Probes") -> None:
        self.health_s += other.health_s
        self.health_own_waits_s += other.health_own_waits_s
        self.echo_s += other.echo_s

    def __str__(self) -> str:
        def show(name: str, values: list[float]) -> str:
            return f"{name} p50 {1e3 * quantile(values, .5):.2f} ms, p99 {1e3 * quantile(values, .99):.2f} ms"

        served_s = [took - waited for took, waited in zip(self.health_s, self.health_own_waits_s)]
        return (f"{show('/health', self.health_s)}; {show('without the wait of the probe itself', served_s)}; "
                f"{show('an echo', self.echo_s)} ({len(self.health_s)} probes)")


class Probe:
    """One kept-alive connection, and what each question on it took."""

    def __init__(self, port: int, question: bytes, last_byte: bytes):
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._question, self._last_byte = question, last_byte
        self.latencies_s: list[float] = []
        self.own_waits_s: list[float] = []

    def ask(self) -> None:
        waited = waited_s()
        start = time.perf_counter()
        self._connection.sendall(self._question)
        answer = b""
        while not answer.endswith(self._last_byte):  # few bytes: never split in practice
            answer += self._connection.recv(4096)
        self.latencies_s.append(time.perf_counter() - start)
        self.own_waits_s.append(waited_s() - waited)


def probe_in_turn(health_port: int, echo_port: int, stop, results) -> None:
    """GETs /health and asks for an echo every 5 ms each, in a process of its own."""
    health = Probe(health_port, b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n", b"}")
    echo = Probe(echo_port, b".", b".")
    while not stop.wait(0.0025):
        health.ask()
        if stop.wait(0.0025):
            break
        echo.ask()
    results.put(Probes(health.latencies_s, health.own_waits_s, echo.latencies_s))


def stream_all(port: int, num_clients: int, num_tokens: int) -> dict:
    """One wave: each client asks once. The report of `runahead bench serve`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompts:
        prompts.write("Tell me a short story.\n")
        prompts.flush()
        result = subprocess.run(
            [BINARY, "bench", "serve", "--url", f"http://127.0.0.1:{port}", "--num-requests", str(num_clients),
             "--concurrency", str(num_clients), "--warm-up", "0", "--prompts", prompts.name, "--temperature", "1",
             "--output-tokens", str(num_tokens), "--ignore-eos", "--json", "-"], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit("the load failed")
    report = json.loads(result.stdout)
    if report["errors"]:
        raise SystemExit(f"streams failed: {report['errors']}")
    return report


def run_round(port: int, num_clients: int, num_tokens: int) -> tuple[dict, Probes]:
    """The report of one wave of streams, and what was probed meanwhile."""
    context = multiprocessing.get_context("fork")
    stop, results = context.Event(), context.Queue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        helpers = [context.Process(target=echo_for_ever, args=(listener,), daemon=True),
                   context.Process(target=probe_in_turn, args=(port, listener.getsockname()[1], stop, results),
                                   daemon=True)]
        for helper in helpers:
            helper.start()
        report = stream_all(port, num_clients, num_tokens)
        stop.set()
        probes = results.get()
        for helper in helpers:
            helper.join()
    return report, probes


def histogram_mean(server: ServerProcess, name: str) -> float:
    return server.metric(f"{name}_sum") / max(1.0, server.metric(f"{name}_count"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    with ServerProcess() as server:
        probes = Probes()
        for number in range(1, args.rounds + 1):
            report, probed = run_round(server.http_port, args.clients, args.tokens)
            probes.add(probed)
            with open(f"/proc/{server.process.pid}/status") as status:
                resident_mib = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))
            print(f"round {number}: {args.clients} streams of {args.tokens} tokens in {report['wall_seconds']:.2f} s, "
                  f"{report['output_tokens_per_second']:.0f} tok/s, TTFT p50 "
                  f"{1e3 * report['ttft_seconds']['p50']:.0f} ms, {resident_mib:.0f} MiB resident; {probed}")
        print(f"all rounds: {probes}")
        print(f"step {1e3 * histogram_mean(server, 'runahead_step_seconds'):.2f} ms, of it host "
              f"{1e6 * histogram_mean(server, 'runahead_step_host_seconds'):.0f} us, "
              f"{histogram_mean(server, 'runahead_step_batch_sequences'):.0f} sequences")


if __name__ == "__main__":
    main()
