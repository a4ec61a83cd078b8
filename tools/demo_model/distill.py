"""Trains the draft on the target's distributions, over corpus text and text that the target wrote itself.

The loss is lk_hybrid: w * KL(target, draft) + (1 - w) * TV(target, draft) per token, w = exp(-3 * acceptance), where
acceptance = 1 - TV is what rejection sampling would accept; early on KL pulls, later TV, the quantity that counts.

    python -m tools.demo_model.distill --target RUNDIR/weights.pt --tokenizer DIR/tokenizer.json --run RUNDIR2 --minutes 20
"""

import argparse
import pathlib

import numpy as np
import torch
from tokenizers import Tokenizer

from . import data
from .model import SHAPES, Llama
from .optim import Optimizer
from .train import Run, add_run_arguments, loop


def hybrid_loss(
    target_logits: torch.Tensor, draft_logits: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [R, V] and weights [R] -> (loss, mean acceptance 1 - TV), both weighted means."""
    log_p, log_q = torch.log_softmax(target_logits.float(), -1), torch.log_softmax(
        draft_logits.float(), -1
    )
    p, q = log_p.exp(), log_q.exp()
    kl = (p * (log_p - log_q)).sum(-1)
    tv = 0.5 * (p - q).abs().sum(-1)
    share = torch.exp(-3.0 * (1.0 - tv.detach()))
    total = weights.sum()
    return ((share * kl + (1 - share) * tv) * weights).sum() / total, (
        (1 - tv) * weights
    ).sum() / total


def pair_loss(
    target, draft, ids: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        with torch.no_grad():
            target_logits = target(ids[:, :-1])
        draft_logits = draft(ids[:, :-1])
    return hybrid_loss(
        target_logits.flatten(0, 1), draft_logits.flatten(0, 1), weights[:, 1:].flatten()
    )


class OnPolicyText:
    """Rows packed from conversations whose answers the target wrote: the file made by on_policy.py."""

    def __init__(self, path: pathlib.Path):
        stored = np.load(path)
        self.ids, self.weights, self.starts = stored["ids"], stored["weights"], stored["starts"]

    def batch(self, seed: int, num_tokens: int, length: int):
        """As data.batch: ids and weights [num_tokens / length, length + 1]."""
        random = np.random.default_rng(seed)
        rows, row_weights = [], []
        for _ in range(num_tokens // length):
            pieces, size = [], 0
            while size < length + 1:
                k = int(random.integers(len(self.starts) - 1))
                begin, end = int(self.starts[k]), int(self.starts[k + 1])
                pieces.append((begin, end))
                size += end - begin
            rows.append(np.concatenate([self.ids[b:e] for b, e in pieces])[: length + 1])
            row_weights.append(np.concatenate([self.weights[b:e] for b, e in pieces])[: length + 1])
        return np.array(rows, dtype=np.int64), np.array(row_weights, dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--target", type=pathlib.Path, required=True, help="weights.pt of the target"
    )
    parser.add_argument(
        "--on-policy",
        type=pathlib.Path,
        help="the target's own text; every second batch comes from it",
    )
    parser.add_argument("--start", type=pathlib.Path, help="weights.pt to start the draft from")
    add_run_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    target = Llama(SHAPES["target"]).to(device).eval()
    target.load_state_dict(torch.load(args.target, weights_only=True))
    draft = Llama(SHAPES["draft"]).to(device)
    if args.start:
        draft.load_state_dict(torch.load(args.start, weights_only=True))
    run = Run(args.run, draft, Optimizer(draft, args.muon_lr, args.adam_lr))
    own_text = OnPolicyText(args.on_policy) if args.on_policy else None
    loss_of = torch.compile(pair_loss, dynamic=False) if args.compile else pair_loss

    def step_loss(step: int):
        length = data.row_length(step)
        if own_text and step % 2:
            ids, weights = own_text.batch(
                args.seed * 1_000_003 + step, args.tokens_per_step, length
            )
        else:
            ids, weights = data.batch(tokenizer, args.seed, step, args.tokens_per_step, length)
        return (
            loss_of(
                target,
                draft,
                torch.from_numpy(ids).to(device),
                torch.from_numpy(weights).to(device),
            )[0],
            args.tokens_per_step,
        )

    @torch.no_grad()
    def rejected() -> float:
        """1 - acceptance over the answer tokens of held-out corpus text, temperature 1."""
        ids, weights = data.batch(tokenizer, 77, 0, 8192, 1024, "held_out")
        weights = (weights == 1.0).astype("float32")
        return (
            1.0
            - pair_loss(
                target,
                draft,
                torch.from_numpy(ids).to(device),
                torch.from_numpy(weights).to(device),
            )[1].item()
        )

    loop(run, args, step_loss, rejected)


if __name__ == "__main__":
    main()
