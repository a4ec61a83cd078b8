"""Serving under load, measured from outside: many streams at once, and how fast /health answers meanwhile.

    .venv/bin/python bench/serve_load.py [--clients 256] [--rounds 4] [--tokens 64]

Needs a built binary (RUNAHEAD_BINARY, default build/release/server/runahead). Clients and server share the machine's
cores. /health is probed from a process of its own, like a load balancer's: beside the streams, in one event loop, the
time that loop takes for the streams would be counted as the server's.
"""

import argparse
import asyncio
import multiprocessing
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/system"))

from server_process import ServerProcess  # noqa: E402
from sse_client import stream_chat  # noqa: E402


def quantile(values: list[float], fraction: float) -> float:
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def probe_health(port: int, stop, latencies_s) -> None:
    """GETs /health on one kept-alive connection every 5 ms, in a process of its own."""
    latencies = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not stop.wait(0.005):
            start = time.perf_counter()
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):  # a small JSON object: never split in practice
                answer += connection.recv(4096)
            latencies.append(time.perf_counter() - start)
    latencies_s.put(latencies)


async def stream_all(port: int, num_clients: int, num_tokens: int) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Tell me a short story."}], "temperature": 1,
            "max_tokens": num_tokens, "ignore_eos": True}
    results = await asyncio.gather(*(stream_chat("127.0.0.1", port, {**body, "seed": i}) for i in range(num_clients)))
    failed = [r.error for r in results if r.error]
    if failed:
        raise SystemExit(f"{len(failed)} streams failed, the first with: {failed[0]}")


def run_round(port: int, num_clients: int, num_tokens: int) -> tuple[float, list[float]]:
    """Seconds one wave of streams took, and what /health took meanwhile."""
    context = multiprocessing.get_context("fork")
    stop, latencies_s = context.Event(), context.Queue()
    probe = context.Process(target=probe_health, args=(port, stop, latencies_s))
    probe.start()
    start = time.perf_counter()
    asyncio.run(stream_all(port, num_clients, num_tokens))
    seconds = time.perf_counter() - start
    stop.set()
    latencies = latencies_s.get()
    probe.join()
    return seconds, latencies


def histogram_mean(server: ServerProcess, name: str) -> float:
    return server.metric(f"{name}_sum") / max(1.0, server.metric(f"{name}_count"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    with ServerProcess() as server:
        for number in range(1, args.rounds + 1):
            seconds, latencies_s = run_round(server.http_port, args.clients, args.tokens)
            with open(f"/proc/{server.process.pid}/status") as status:
                resident_mib = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))
            print(f"round {number}: {args.clients} streams of {args.tokens} tokens in {seconds:.2f} s, "
                  f"{args.clients * args.tokens / seconds:.0f} tok/s, {resident_mib:.0f} MiB resident; /health "
                  f"p50 {1e3 * quantile(latencies_s, .5):.2f} ms, p99 {1e3 * quantile(latencies_s, .99):.2f} ms "
                  f"({len(latencies_s)} probes)")
        print(f"step {1e3 * histogram_mean(server, 'runahead_step_seconds'):.2f} ms, of it host "
              f"{1e6 * histogram_mean(server, 'runahead_step_host_seconds'):.0f} us, "
              f"{histogram_mean(server, 'runahead_step_batch_sequences'):.0f} sequences")


if __name__ == "__main__":
    main()
