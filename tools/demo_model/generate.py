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
    out, rows = [[] for _ in prompts], torch.arange(count)  # rows: prompts still being answered
    logits = model(ids, caches, positions)[:, -1].float()
    next_position = positions[:, -1] + 1
    for _ in range(max_tokens):
        if temperature > 0:
            shares = torch.softmax(logits / temperature, -1)
            token = torch.multinomial(shares, 1, generator=random)[:, 0]
        else:
            token = logits.argmax(-1)
        for row, value in zip(rows.tolist(), token.tolist()):
            out[row].append(value)
        going = (token != data.END_ID).nonzero()[:, 0]
        if len(going) == 0:
            break
        if len(going) < len(rows):  # finished rows leave the batch and its cache
            rows, token, visible = rows[going.cpu()], token[going], visible[going]
            next_position = next_position[going]
            caches = [{"k": cache["k"][going], "v": cache["v"][going]} for cache in caches]
        ones = torch.ones(len(rows), 1, dtype=torch.bool, device=device)
        visible = torch.cat([visible, ones], 1)
        for cache in caches:
            cache["mask"] = visible[:, None, None, :]
        logits = model(token[:, None], caches, next_position[:, None])[:, -1].float()
        next_position = next_position + 1
    return out
