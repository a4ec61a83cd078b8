"""Trains the draft on the target's distributions, over corpus text and text that the target wrote itself.

The loss is lk_hybrid: w * KL(target, draft) + (1 - w) * TV(target, draft) per token, w = exp(-3 * acceptance), where
acceptance = 1 - TV is what rejection sampling would accept; early on KL pulls, later TV, the quantity that counts.

    python -m tools.demo_model.distill --target RUNDIR/weights.pt --tokenizer DIR/tokenizer.json --run RUNDIR2 --minutes 20
"""

import argparse
import pathlib

import numpy as np
import torch

from . import data
from .model import SHAPES, Llama
from .train import Task, add_run_arguments, held_out_mean, part, start


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


def pair_loss(target, draft, ids: torch.Tensor, weights: torch.Tensor, temperature: float = 1.0):
    """hybrid_loss of rows at a temperature; ids and weights [S, T + 1]."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        with torch.no_grad():
            target_logits = target(ids[:, :-1])
        draft_logits = draft(ids[:, :-1])
    rows = (logits.flatten(0, 1).float() / temperature for logits in (target_logits, draft_logits))
    return hybrid_loss(*rows, weights[:, 1:].flatten())


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


class DistillTask(Task):
    """Every second batch is the target's own text where there is some; the held-out figure is 1 - acceptance."""

    def __init__(self, model, tokenizer, args, device):
        super().__init__(model, tokenizer, args, device)
        self.target = Llama(SHAPES["target"]).to(device).eval()
        self.target.load_state_dict(part(args.target, "target"))
        self.own_text = OnPolicyText(args.on_policy) if args.on_policy else None
        self.pair = torch.compile(pair_loss, dynamic=False) if args.compile else pair_loss

    def batch(self, step: int):
        if self.own_text is None or step % 2 == 0:
            return super().batch(step)
        tokens, length = self.args.tokens_per_step, self.args.length or data.row_length(step)
        return self.own_text.batch(self.args.seed * 1_000_003 + step, tokens, length)

    def loss(self, ids, weights):
        return self.pair(self.target, self.model, ids, weights, self.args.temperature)[0]

    @torch.no_grad()
    def held_out(self) -> float:
        value = lambda i, w: 1.0 - pair_loss(self.target, self.model, i, w)[1]  # noqa: E731
        return held_out_mean(value, self.tokenizer, self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--target", type=pathlib.Path, required=True, help="weights.pt of target or pair"
    )
    parser.add_argument("--start", type=pathlib.Path, help="weights.pt the draft starts from")
    parser.add_argument("--on-policy", type=pathlib.Path, help="file made by on_policy.py")
    parser.add_argument("--temperature", type=float, default=0.8, help="of both distributions")
    add_run_arguments(parser)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    draft = Llama(SHAPES["draft"]).to(device)
    if args.start:
        draft.load_state_dict(part(args.start, "draft"))
    start(args, draft, DistillTask)


if __name__ == "__main__":
    main()
