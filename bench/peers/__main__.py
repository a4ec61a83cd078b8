"""Measures us and the peers in turns, on one shape and as many threads, and prints ratios with their spread.

    bench/peers/setup.sh DIR --tools                                         builds them, once
    .venv/bin/python -m bench.peers --peers DIR [--llama DIR/llama] [--ik DIR/ik] [--types int4,int8,bf16]
        [--shape llama-3.2-1b] [--rows decode,verify,prefill,context,http] [--rounds 5]

In a round each engine measures a group of rows, then the next one does; who goes first moves on every round. The
machine must be idle (--force takes it as it is).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from bench.peers import http_load, report, servers
from bench.peers.engines import ROOT, Engine, LlamaPython, Runahead, ToolFlags, Tools
from bench.peers.measurement import GROUPS
from bench.peers.report import Row, Spread, Weights, ratios
from bench.peers.shape import Shape

GGUF_TYPES = {"int4": "Q4_0", "int8": "Q8_0", "bf16": "BF16"}
MAX_LOAD = 0.5
# ik_llama.cpp repacks at load time where it is told to, and then reads into huge pages by itself.
IK_REPACKED = ToolFlags(bench=["-rtr", "1"], batched=["-rtr"])
IK_AS_IT_IS = ToolFlags(bench=["-thp", "1"], batched=["-thp"])


@dataclass
class Peer:
    """One peer with one model file; `engine` and `server` start it."""
    name: str
    model: Path
    folder: Path | None  # of tools; None: llama-cpp-python
    flags: ToolFlags

    def engine(self, args: argparse.Namespace) -> Engine:
        if self.folder is None:
            return LlamaPython(args.peers, self.model, args.threads)
        return Tools(self.name, self.folder, self.model, args.threads, self.flags)

    def server(self, args: argparse.Namespace, context: int) -> servers.Server:
        if self.folder is None:
            return servers.serve_python(args.peers, self.model, args.threads, context)
        return servers.serve_tools(self.name, self.folder, self.model, args.threads, context, self.flags.batched)


def model_file(args: argparse.Namespace, gguf_type: str) -> Path:
    """The peers' model of the shape, written or quantized when it is first wanted."""
    path = args.peers / "models" / f"{args.shape}-{gguf_type}.gguf"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    print(f"making {path}", file=sys.stderr)
    if gguf_type in GGUF_TYPES.values():
        subprocess.run([args.peers / "venv/bin/python", "-m", "bench.peers.gguf_model", args.shape, gguf_type, path],
                       check=True, cwd=ROOT)
        return path
    part = path.with_suffix(".part")
    source = model_file(args, "BF16")
    subprocess.run([args.ik / "llama-quantize", "--pure", source, part, gguf_type, str(args.threads)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part.rename(path)
    return path


def peers_of(args: argparse.Namespace, kind: str) -> list[Peer]:
    """The peers asked for; a model only they want is not made for others."""
    kinds = [("llama.cpp", GGUF_TYPES[kind], None, ToolFlags())]
    if args.llama:
        kinds.append(("llama.cpp tools", GGUF_TYPES[kind], args.llama, ToolFlags()))
    if args.ik:
        kinds.append(("ik repacked", GGUF_TYPES[kind], args.ik, IK_REPACKED))
        if kind == "int4":
            kinds.append(("ik IQ4_KS", "IQ4_KS", args.ik, IK_AS_IT_IS))
    return [Peer(name, model_file(args, gguf_type), folder, flags) for name, gguf_type, folder, flags in kinds
            if not args.engines or name in args.engines]


class Clockwatch:
    """Whether there is time for another round as long as the longest so far."""

    def __init__(self, limit_s: float):
        self._end = time.monotonic() + limit_s if limit_s else float("inf")
        self._longest = 0.0
        self._start = time.monotonic()

    def has_time(self) -> bool:
        return time.monotonic() + self._longest < self._end

    def round_done(self) -> None:
        now = time.monotonic()
        self._longest, self._start = max(self._longest, now - self._start), now


def turned(items: list, by: int) -> list:
    by %= len(items)
    return items[by:] + items[:by]


def measure_steps(args: argparse.Namespace, kind: str, groups: list[str], watch: Clockwatch) -> dict:
    shape = Shape.named(args.shape)
    ours = Runahead(args.binary, shape, kind, args.threads, args.flag)
    engines: list[Engine] = [ours]
    wanted = {group: [m for m in GROUPS[group]
                      if m.tokens <= shape.context and (not args.sizes or m.rows in args.sizes)] for group in groups}
    rows = {m: Row(m) for group in groups for m in wanted[group]}
    try:
        engines += [peer.engine(args) for peer in peers_of(args, kind)]
        head = shape.vocab * shape.hidden
        weights = {e.name: Weights(e.step_bytes, shape.step_weights, head) for e in engines}
        for number in range(args.rounds):
            if number > 0 and not watch.has_time():
                print(f"time is up after {number} rounds", file=sys.stderr)
                break
            for group, measurements in wanted.items():
                if not measurements:
                    continue
                ceilings = ours.ceilings()
                for engine in turned(engines, number):
                    for m, speed in zip(measurements, engine.measure(measurements), strict=True):
                        rows[m].speeds.setdefault(engine.name, []).append(speed)
                for m in measurements:
                    rows[m].bandwidths.append(ceilings.bandwidth)
                    rows[m].peaks.append(ceilings.peak(kind))
                print(f"{kind} round {number + 1} {group}: bandwidth {1e-9 * ceilings.bandwidth:.0f} GB/s; "
                      + "; ".join(f"{e.name} {' '.join(f'{rows[m].speeds[e.name][-1]:.0f}' for m in measurements)}"
                                  for e in engines) + " tok/s", file=sys.stderr)
            watch.round_done()
        print(f"\n## {args.shape}, {kind}\n")
        print("\n".join(f"- {e.name}: {e.version}" for e in engines) + "\n")
        print(report.tables(list(rows.values()), ours.name, weights), flush=True)
        return {"type": kind, "weights": {name: asdict(w) for name, w in weights.items()},
                "rows": [asdict(row) for row in rows.values()]}
    finally:
        for engine in engines:
            engine.close()


def measure_http(args: argparse.Namespace, kind: str, watch: Clockwatch) -> dict:
    shape = Shape.named(args.shape)
    traffics = [http_load.TRAFFIC[name] for name in args.traffic]
    context = max(t.context for t in traffics) + 64
    running: list[servers.Server] = []
    results: dict[str, dict[str, list[http_load.Outcome]]] = {t.name: {} for t in traffics}
    try:
        running.append(servers.serve_runahead(args.binary, shape, kind, args.threads, context, args.flag))
        all_peers = peers_of(args, kind)
        has_tools = any(peer.folder for peer in all_peers)  # then llama_cpp.server has nothing to add
        running += [peer.server(args, context) for peer in all_peers if peer.folder or not has_tools]
        for server in running:
            http_load.run(server.port, http_load.Traffic("warm-up", 0, 32, 8, 8), server.takes_ids, 999)
        for number in range(args.rounds):
            if number > 0 and not watch.has_time():
                print(f"time is up after {number} rounds", file=sys.stderr)
                break
            for traffic in traffics:
                for server in turned(running, number):
                    outcome = http_load.run(server.port, traffic, server.takes_ids, number + 1)
                    results[traffic.name].setdefault(server.name, []).append(outcome)
                    print(f"{kind} http round {number + 1} {traffic.name}: {server.name} "
                          f"{outcome.tokens_per_second:.1f} tok/s", file=sys.stderr)
            watch.round_done()
    finally:
        for server in running:
            server.close()
    print_http(args.shape, kind, results)
    return {"type": kind, "http": {traffic: {name: [asdict(o) for o in outcomes] for name, outcomes in by_name.items()}
                                   for traffic, by_name in results.items()}}


def print_http(shape: str, kind: str, results: dict[str, dict[str, list[http_load.Outcome]]]) -> None:
    print(f"\n## {shape}, {kind}, over HTTP: 32 requests, 8 streams, 64 tokens out\n")
    print("| traffic | server | tok/s | TTFT p50 s | ITL p50 ms | runahead over it |\n|---|---|---|---|---|---|")
    for traffic, by_name in results.items():
        ours = [o.tokens_per_second for o in by_name["runahead"]]
        for name, outcomes in by_name.items():
            speeds = [o.tokens_per_second for o in outcomes]
            ratio = "" if name == "runahead" else ratios(ours, speeds).text(2)
            print(f"| {traffic} | {name} | {Spread.of(speeds).text(1)} | "
                  f"{Spread.of([o.ttft_p50 for o in outcomes]).text(2)} | "
                  f"{Spread.of([1e3 * o.itl_p50 for o in outcomes]).text(1)} | {ratio} |", flush=True)


def busy_share(seconds: float = 1) -> float:
    """Of all CPUs' time in the next second: the load average remembers minutes."""
    def ticks() -> tuple[int, int]:
        values = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # idle, and waiting for a disk

    total, idle = ticks()
    time.sleep(seconds)
    total_then, idle_then = ticks()
    return 1 - (idle_then - idle) / (total_then - total)


def describe_machine(threads: int) -> str:
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return (f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {model}, {os.cpu_count()} CPUs, {threads} threads, "
            f"Linux {platform.release()}, load average {os.getloadavg()[0]:.2f}, busy just before {busy_share():.0%}")


def words(text: str) -> list[str]:
    return text.split(",")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="what setup.sh made; models are written there too")
    parser.add_argument("--llama", type=Path, help="folder with llama.cpp's llama-bench, -batched-bench and -server")
    parser.add_argument("--ik", type=Path, help="the same of ik_llama.cpp, and llama-quantize")
    parser.add_argument("--engines", type=words, default=[], help="only these peers, such as 'llama.cpp,ik IQ4_KS'")
    parser.add_argument("--binary", type=Path, default=Path(os.environ.get("RUNAHEAD_BINARY",
                                                                          ROOT / "build/release/server/runahead")))
    parser.add_argument("--flag", action="append", default=[], help="for runahead: --flag=--kv-cache-dtype=int8")
    parser.add_argument("--shape", default="llama-3.2-1b", help="a folder of bench/shapes")
    parser.add_argument("--types", type=words, default=["int4"], help="of int4,int8,bf16")
    parser.add_argument("--rows", type=words, default=[*GROUPS, "http"], help=f"of {','.join(GROUPS)},http")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[],
                        help="only rows of so many sequences or tokens a step, such as 1 or 1,8,512")
    parser.add_argument("--traffic", type=words, default=list(http_load.TRAFFIC), help="over HTTP")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--time-limit", type=float, default=0, help="seconds after which no further round begins")
    parser.add_argument("--json", type=Path, help="all values of all rounds")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine too")
    args = parser.parse_args()
    for name in ("peers", "llama", "ik", "binary"):
        if (path := getattr(args, name)) is not None:
            setattr(args, name, path.resolve())
    for name, known in (("types", GGUF_TYPES), ("rows", [*GROUPS, "http"]), ("traffic", http_load.TRAFFIC)):
        unknown = set(getattr(args, name)) - set(known)
        if unknown:
            parser.error(f"--{name}: {', '.join(unknown)} is not one of {', '.join(known)}")
    return args


def main() -> None:
    args = parse()
    load = os.getloadavg()[0]
    if load > MAX_LOAD and not args.force:
        raise SystemExit(f"the load average is {load:.2f}: others would be measured too (wait, or --force)")
    machine = describe_machine(args.threads)
    print(machine + "\n\n    " + " ".join(["python -m bench.peers", *sys.argv[1:]]), flush=True)
    watch, results = Clockwatch(args.time_limit), []
    groups = [group for group in GROUPS if group in args.rows]
    for kind in args.types:
        if groups:
            results.append(measure_steps(args, kind, groups, watch))
        if "http" in args.rows:
            results.append(measure_http(args, kind, watch))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "arguments": sys.argv[1:],
                                         "results": results}, indent=1))


if __name__ == "__main__":
    main()
