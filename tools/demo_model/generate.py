"""Batched generation with a key-value cache, for distillation text and for evaluation."""

import torch

from . import data
from .model import Llama


@torch.no_grad()
def generate(
    model: Llama, prompts: list[list[int]], max_tokens: int, temperature: float, seed: int
) -> list[list[int]]:
    """Continuations (with their <|end|>, if reached) of prompts of any lengths; temperature 0 is greedy.

    Prompts are padded on the left; padding is masked and positions count from each prompt's first token.
    """
    device = next(model.parameters()).device
    random = torch.Generator(device=device).manual_seed(seed)
    count, width = len(prompts), max(map(len, prompts))
    ids = torch.full((count, width), data.PAD_ID, dtype=torch.long, device=device)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    visible = ids != data.PAD_ID  # [S, seen]
    positions = (visible.long().cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    # A padded query sees itself, so that its row of the softmax is not empty.
    mask = (visible[:, None, :] & causal | torch.eye(width, dtype=torch.bool, device=device))[
        :, None
    ]
    caches = [{"mask": mask} for _ in model.model.layers]
    out, alive = [[] for _ in prompts], torch.ones(count, dtype=torch.bool, device=device)
    logits = model(ids, caches, positions)[:, -1].float()
    next_position = positions[:, -1] + 1
    for _ in range(max_tokens):
        if temperature > 0:
            token = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=random)[
                :, 0
            ]
        else:
            token = logits.argmax(-1)
        for row in alive.nonzero()[:, 0].tolist():
            out[row].append(int(token[row]))
        alive &= token != data.END_ID
        if not alive.any():
            break
        visible = torch.cat([visible, torch.ones(count, 1, dtype=torch.bool, device=device)], 1)
        for cache in caches:
            cache["mask"] = visible[:, None, None, :]
        logits = model(token[:, None], caches, next_position[:, None])[:, -1].float()
        next_position = next_position + 1
    return out
