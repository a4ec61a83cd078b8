"""Trains one model of the pair on the corpus; resumable, on CPU or GPU.

python -m tools.demo_model.train --shape target --tokenizer DIR/tokenizer.json --run RUNDIR --minutes 60
"""

import argparse
import json
import pathlib
import time

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from . import data
from .model import SHAPES, Llama
from .optim import Optimizer, lr_factor
from .parallel import Team


def weighted_loss(model, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats, weighted; ids and weights [S, T + 1]."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits = model(ids[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def held_out_mean(value_of, tokenizer, device, rows: int = 12) -> float:
    """Mean of value_of(ids, weights) over answer tokens of held-out conversations."""
    ids, weights = data.batch(tokenizer, 77, 0, rows * 1024, 1024, "held_out")
    weights = (weights == 1.0).astype("float32")
    ids, weights = torch.from_numpy(ids).to(device), torch.from_numpy(weights).to(device)
    return sum(float(value_of(ids[i : i + 1], weights[i : i + 1])) for i in range(rows)) / rows


class Run:
    """State of a training run: a folder with state.pt (resume), weights.pt and log.jsonl."""

    def __init__(self, folder: pathlib.Path, model, momenta: dict):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.model, self.momenta = folder, model, momenta
        self.step, self.seconds, self.tokens, self.adam = 0, 0.0, 0, None

    def resume(self) -> None:
        """Loads state.pt where there is one, into the shared tensors."""
        if not (self.folder / "state.pt").exists():
            return
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        for name, tensor in state["momenta"].items():
            self.momenta[name].copy_(tensor)
        self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]
        self.adam = state["adam"]

    def save(self, adam: dict) -> None:
        weights = self.model.state_dict()
        counts = {"step": self.step, "seconds": self.seconds, "tokens": self.tokens}
        self._write("state.pt", {"model": weights, "momenta": self.momenta, "adam": adam, **counts})
        self._write("weights.pt", weights)

    def _write(self, name: str, value) -> None:
        """Whole or not at all."""
        torch.save(value, self.folder / "part.tmp")
        (self.folder / "part.tmp").rename(self.folder / name)

    def log(self, **values) -> None:
        row = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            **values,
        }
        with (self.folder / "log.jsonl").open("a") as out:
            out.write(json.dumps(row) + "\n")


class Task:
    """What a worker trains: batches, a loss of a micro batch, and a held-out figure."""

    objective = staticmethod(weighted_loss)

    def __init__(self, model, tokenizer, args, device):
        self.model, self.tokenizer, self.args, self.device = model, tokenizer, args, device
        loss = self.objective
        self.compiled = torch.compile(loss, dynamic=False) if args.compile else loss

    def batch(self, step: int):
        args = self.args
        length = args.length or data.row_length(step)
        return data.batch(
            self.tokenizer, args.seed, step, args.tokens_per_step, length, echo_share=args.echo
        )

    def loss(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return self.compiled(self.model, ids, weights)

    def held_out(self) -> float:
        return held_out_mean(
            lambda i, w: weighted_loss(self.model, i, w), self.tokenizer, self.device
        )


def run_step(rank: int, team: Team, task: Task, step: int) -> None:
    """Accumulates this process's share of the step's gradients and loss."""
    ids, weights = task.batch(step)
    rows = max(1, task.args.micro_tokens // (ids.shape[1] - 1))
    count = len(ids) // rows
    while (micro := team.take()) < count:
        part = slice(micro * rows, (micro + 1) * rows)
        loss = task.loss(
            torch.from_numpy(ids[part]).to(task.device),
            torch.from_numpy(weights[part]).to(task.device),
        )
        (loss / count).backward()
        team.losses[rank] += loss.item() / count


def lead(run: Run, team: Team, task: Task, optimizer: Optimizer, clock: dict) -> None:
    """Rank 0 between steps: books time and loss, logs, saves, and writes the orders of the next step."""
    args, now = task.args, time.monotonic()
    run.seconds, clock["last"] = run.seconds + now - clock["last"], now
    if run.step > clock["first"]:
        loss = sum(team.losses[:])
        clock["mean"] = loss if clock["mean"] is None else 0.95 * clock["mean"] + 0.05 * loss
        if run.step % 20 == 0:
            run.log(loss=round(clock["mean"], 4))
    progress = run.step / args.steps if args.steps else run.seconds / (60 * args.minutes)
    over = progress >= 1
    if over or (run.step % args.eval_steps == 0 and run.step > clock["first"]):
        run.log(held_out=round(task.held_out(), 4), done=over)
    if over or now - clock["saved"] > args.save_seconds:
        run.save(optimizer.adam.state_dict())
        clock["saved"] = now
    team.orders[:] = [lr_factor(progress, run.step, decay=args.decay), float(over)]
    team.losses[:] = [0.0] * team.size
    team.next_micro.value = 0


def worker(rank: int, team: Team, run: Run, args, task_class) -> None:
    """One process of the team, from the checkpoint to the end of the schedule."""
    torch.set_num_threads(args.threads if team.size == 1 else 1)
    model, device = run.model, next(run.model.parameters()).device
    task = task_class(model, Tokenizer.from_file(str(args.tokenizer)), args, device)
    optimizer = Optimizer(model, team.momenta, args, rank, team.size)
    if run.adam and rank == 0:
        optimizer.adam.load_state_dict(run.adam)
    now = time.monotonic()
    clock = {"last": now, "saved": now, "first": run.step, "mean": None}
    while True:
        if rank == 0:
            lead(run, team, task, optimizer, clock)
        team.wait()
        factor, over = team.orders[:]
        if over:
            return
        team.bind(rank, model)
        run_step(rank, team, task, run.step)
        team.wait()
        gradients = team.summed()
        team.wait()
        optimizer.step(gradients, factor)
        for tensor in team.gradients[rank]:
            tensor.zero_()
        run.step, run.tokens = run.step + 1, run.tokens + args.tokens_per_step
        team.wait()


def start(args, model, task_class) -> None:
    """Runs the workers: args.processes of them on a CPU, this process alone on a GPU."""
    team = Team(model, args.processes if next(model.parameters()).device.type == "cpu" else 1)
    run = Run(args.run, model, team.momenta)
    run.resume()
    if team.size == 1:
        worker(0, team, run, args, task_class)
    else:
        torch.multiprocessing.spawn(worker, (team, run, args, task_class), nprocs=team.size)


def part(path: pathlib.Path, name: str) -> dict:
    """The weights of one model, from a file of that model alone or of the pair."""
    weights = torch.load(path, weights_only=True)
    prefix = name + "."
    own = {key.removeprefix(prefix): v for key, v in weights.items() if key.startswith(prefix)}
    return own or weights


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="wall-clock length of the schedule"
    )
    parser.add_argument(
        "--steps", type=int, default=0, help="length in steps instead (reproducible)"
    )
    parser.add_argument(
        "--decay", type=float, default=0.4, help="share of the schedule that decays to zero"
    )
    parser.add_argument("--tokens-per-step", type=int, default=8192)
    parser.add_argument("--length", type=int, default=0, help="row length instead of the usual mix")
    parser.add_argument("--micro-tokens", type=int, default=1024)
    parser.add_argument("--processes", type=int, default=2, help="single-threaded workers on a CPU")
    parser.add_argument("--threads", type=int, default=2, help="threads where there is one process")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--echo", type=float, default=data.ECHO_SHARE, help="see data.echo")
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--eval-steps", type=int, default=200)
    parser.add_argument("--save-seconds", type=float, default=120.0)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), required=True)
    parser.add_argument("--start", type=pathlib.Path, help="weights.pt to start from")
    add_run_arguments(parser)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Llama(SHAPES[args.shape]).to(device)
    if args.start:
        model.load_state_dict(part(args.start, args.shape))
    start(args, model, Task)


if __name__ == "__main__":
    main()
