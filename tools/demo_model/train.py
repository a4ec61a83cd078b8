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


def weighted_loss(model, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats, weighted; ids and weights [S, T + 1]."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        logits = model(ids[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def held_out_loss(model, tokenizer, device, rows: int = 16) -> float:
    """Cross entropy in nats over answer tokens of held-out conversations."""
    ids, weights = data.batch(tokenizer, 77, 0, rows * 1024, 1024, "held_out")
    weights = (weights == 1.0).astype("float32")
    parts = [weighted_loss(model, torch.from_numpy(ids[i:i + 4]).to(device), torch.from_numpy(weights[i:i + 4]).to(device)).item() for i in range(0, rows, 4)]
    return sum(parts) / len(parts)


class Run:
    """State of a training run: a folder with state.pt (resume), weights.pt and log.csv."""

    def __init__(self, folder: pathlib.Path, model, optimizer):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds, "tokens": self.tokens}
        torch.save(state, self.folder / "state.tmp")
        (self.folder / "state.tmp").rename(self.folder / "state.pt")
        torch.save(self.model.state_dict(), self.folder / "weights.tmp")
        (self.folder / "weights.tmp").rename(self.folder / "weights.pt")

    def log(self, **values) -> None:
        path = self.folder / "log.jsonl"
        with path.open("a") as out:
            out.write(json.dumps({"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1), **values}) + "\n")


def loop(run: Run, args, step_loss, evaluate) -> None:
    """Steps until the schedule ends; step_loss(step) -> (loss tensor, tokens). Saves every args.save_seconds."""
    last = saved = time.monotonic()
    mean = None
    while True:
        progress = run.step / args.steps if args.steps else run.seconds / (60 * args.minutes)
        if progress >= 1:
            break
        loss, tokens = step_loss(run.step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimizer.step(lr_factor(progress, run.step, decay=args.decay))
        run.step, run.tokens = run.step + 1, run.tokens + tokens
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if run.step % 20 == 0:
            run.log(loss=round(mean, 4))
        if run.step % args.eval_steps == 0:
            run.log(held_out=round(evaluate(), 4))
        if now - saved > args.save_seconds:
            run.save()
            saved = now
    run.log(held_out=round(evaluate(), 4), done=True)
    run.save()


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock length of the schedule")
    parser.add_argument("--steps", type=int, default=0, help="length of the schedule in steps instead (reproducible)")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the schedule that decays to zero")
    parser.add_argument("--tokens-per-step", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--eval-steps", type=int, default=200)
    parser.add_argument("--save-seconds", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), required=True)
    add_run_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    model = Llama(SHAPES[args.shape]).to(device)
    run = Run(args.run, model, Optimizer(model, args.muon_lr, args.adam_lr))
    loss_of = torch.compile(weighted_loss, dynamic=False) if args.compile else weighted_loss

    def step_loss(step: int):
        length = data.row_length(step)
        ids, weights = data.batch(tokenizer, args.seed, step, args.tokens_per_step, length)
        return loss_of(model, torch.from_numpy(ids).to(device), torch.from_numpy(weights).to(device)), args.tokens_per_step

    loop(run, args, step_loss, lambda: held_out_loss(model, tokenizer, device))


if __name__ == "__main__":
    main()
