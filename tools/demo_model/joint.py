"""Trains the target on the corpus and, from the same forward pass, the draft on the target's distributions.

The target's logits are there anyway, so the draft's lessons cost its own passes only (a quarter of a step). The target's
learning rate decays to zero; the draft's stays, and decays in distill.py once the target stands still.

    python -m tools.demo_model.joint --tokenizer DIR/tokenizer.json --run RUNDIR --minutes 60
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

from .distill import hybrid_loss
from .induction import start_copying
from .model import SHAPES, Llama
from .train import Task, add_run_arguments, held_out_mean, start, weighted_loss


class Pair(nn.Module):
    """Both models under one roof; parameter names begin with "target." and "draft."."""

    def __init__(self):
        super().__init__()
        self.target, self.draft = Llama(SHAPES["target"]), Llama(SHAPES["draft"])
        start_copying(self.draft)


def joint_loss(pair: Pair, ids: torch.Tensor, weights: torch.Tensor):
    """(target's cross entropy + draft's hybrid loss, target's cross entropy alone)."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        target_logits, draft_logits = pair.target(ids[:, :-1]), pair.draft(ids[:, :-1])
    wide, weights = target_logits.float().flatten(0, 1), weights[:, 1:].flatten()
    losses = F.cross_entropy(wide, ids[:, 1:].flatten(), reduction="none")
    entropy = (losses * weights).sum() / weights.sum()
    return entropy + hybrid_loss(wide.detach(), draft_logits.flatten(0, 1), weights)[0]


class JointTask(Task):
    """The loss is the sum of both; the held-out figure is the target's."""

    objective = staticmethod(joint_loss)

    def held_out(self) -> float:
        target = self.model.target
        return held_out_mean(lambda i, w: weighted_loss(target, i, w), self.tokenizer, self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start(args, Pair().to(device), JointTask)


if __name__ == "__main__":
    main()
