"""How often the draft's token is accepted along the target's own continuations of held-out prompts.

Greedy: draft argmax == target argmax. At temperature T over the target's sampled text: rejection sampling accepts 1 - TV
on average; the coupled scheme accepts where both models, given the same Gumbel noise, choose the same token.
"""

import dataclasses

import torch

from .model import Llama

NOISE_DRAWS = 8  # Gumbel draws averaged at each position


@dataclasses.dataclass
class Rates:
    """Sums over tokens; rates are sums / tokens."""

    tokens: int = 0
    matched: float = 0.0
    overlap: float = 0.0
    coupled: float = 0.0
    runs: int = 0  # verify steps a draft length of 4 would take, greedy

    def add(self, other: "Rates") -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def verify_steps(matches: list[bool], draft_tokens: int = 4) -> int:
    """Target steps to produce the tokens when each step drafts `draft_tokens` and adds one of its own."""
    steps, at = 0, 0
    while at < len(matches):
        accepted = 0
        while accepted < draft_tokens and at + accepted < len(matches) and matches[at + accepted]:
            accepted += 1
        at += accepted + 1
        steps += 1
    return steps


@torch.no_grad()
def measure(
    target: Llama, draft: Llama, prompt: list[int], answer: list[int], temperature: float, seed: int
) -> Rates:
    """Rates over the answer's positions; temperature 0 measures greedy agreement only."""
    ids = torch.tensor([prompt + answer[:-1]])
    rows = slice(len(prompt) - 1, None)  # the rows that predict the answer's tokens
    p_logits, q_logits = target(ids)[0, rows].float(), draft(ids)[0, rows].float()
    if temperature == 0:
        matches = (p_logits.argmax(-1) == q_logits.argmax(-1)).tolist()
        return Rates(len(answer), float(sum(matches)), runs=verify_steps(matches))
    p_logits, q_logits = p_logits / temperature, q_logits / temperature
    p, q = torch.softmax(p_logits, -1), torch.softmax(q_logits, -1)
    overlap = torch.minimum(p, q).sum().item()
    random = torch.Generator().manual_seed(seed)
    agreed = 0.0
    for _ in range(NOISE_DRAWS):
        noise = -torch.log(torch.empty_like(p).exponential_(generator=random))
        agreed += ((p_logits + noise).argmax(-1) == (q_logits + noise).argmax(-1)).sum().item()
    return Rates(len(answer), 0.0, overlap, agreed / NOISE_DRAWS)
