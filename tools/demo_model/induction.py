"""Starts the draft with a copying circuit in its two layers, so that training refines one instead of having to discover it.

From the usual random start six million tokens taught the draft no copying at all (0 of random repeats), although half of its
corpus copies. Two heads in a row do it ("induction", Elhage et al. 2021, Olsson et al. 2022):

    layer 0, KV head 0        attends one token back (a key and a query that depend on the position alone) and notes in 32
                              directions of the stream, which no embedding uses yet, which token stood there
    layer 1, two KV heads     the query is the present token, the key the note: they meet where the token before was this one;
                              the value is the token that stands there, written where the output embedding reads it

Nothing is frozen: from the first step on these weights train as all others do.
"""

import torch
import torch.nn.functional as F

from .model import Llama

NOTE = 32  # directions of the stream that say which token stood before
CONSTANT_SHARE = 0.5  # of an embedding's length, equal for all tokens: what the position-only key and query read
EMBEDDING_LENGTH = 1.0
NOTE_LENGTH = 0.7  # of the embedding's
BACK_WEIGHTS = (9.0, 3.0, 1.5, 1.5)  # logit of the fastest rotary pairs where they meet
FIRST_SLOW_PAIR = 6  # pairs that turn by less than a radian in a hundred tokens (theta 500 000)
MATCH_LOGIT = 12.0  # of a token with its own note
COPY_HEADS = 2  # each writes 32 numbers of the token it found
COPY_LENGTH = 2.0  # of what a head writes against the embedding's


def basis(size: int, random: torch.Generator) -> torch.Tensor:
    """Random orthonormal columns [size, size]."""
    return torch.linalg.qr(torch.randn(size, size, generator=random))[0]


def start_embedding(draft: Llama, axes: torch.Tensor, random: torch.Generator) -> None:
    """Random rows in the last axes, none in the first NOTE, and the same share of axis NOTE in all."""
    size = draft.config.hidden - NOTE - 1
    rows = F.normalize(torch.randn(draft.config.vocab, size, generator=random), dim=1)
    rest = (1 - CONSTANT_SHARE**2) ** 0.5
    table = rest * rows @ axes[:, NOTE + 1 :].T + CONSTANT_SHARE * axes[:, NOTE]
    draft.model.embed_tokens.weight.copy_(EMBEDDING_LENGTH * table)


def start_look_back(draft: Llama, axes: torch.Tensor, names: torch.Tensor) -> None:
    """Layer 0, head 0; names [NOTE, H] maps an embedding to the note."""
    config, attention = draft.config, draft.model.layers[0].self_attn
    dim, half = config.head_dim, config.head_dim // 2
    scale = config.hidden**0.5  # length of a normed row
    reader = axes[:, NOTE] / (CONSTANT_SHARE * scale)  # reads 1 from every token
    theta = config.rope_theta ** (-torch.arange(half) / half)
    weights = torch.zeros(half)
    weights[: len(BACK_WEIGHTS)] = torch.tensor(BACK_WEIGHTS) * dim**0.5
    key = torch.cat([weights.sqrt(), torch.zeros(half)])
    query = torch.cat([weights.sqrt() * torch.cos(theta), -weights.sqrt() * torch.sin(theta)])
    attention.k_proj.weight[:dim] = key[:, None] * reader
    attention.q_proj.weight[:dim] = query[:, None] * reader
    attention.v_proj.weight[:dim] = names
    length = NOTE_LENGTH * EMBEDDING_LENGTH / (names @ draft.model.embed_tokens.weight.T).norm(dim=0).mean()
    attention.o_proj.weight[:, :dim] = axes[:, :NOTE] * length / scale * EMBEDDING_LENGTH


def start_copy(draft: Llama, axes: torch.Tensor, names: torch.Tensor) -> None:
    """Layer 1, the first query heads of the first groups."""
    config, attention = draft.config, draft.model.layers[1].self_attn
    dim, half, group = config.head_dim, config.head_dim // 2, config.heads // config.kv_heads
    slow = torch.arange(FIRST_SLOW_PAIR, half)
    slots = torch.cat([slow, slow + half])
    scale = config.hidden**0.5 / (EMBEDDING_LENGTH * (1 + NOTE_LENGTH**2) ** 0.5)  # of the norm
    for head in range(COPY_HEADS):
        part = torch.arange(len(slots)) + head * (NOTE - len(slots))  # numbers of the note it compares
        rows = slice(head * dim, (head + 1) * dim)
        queries = slice(head * group * dim, (head * group + 1) * dim)
        heard = (names[part] @ draft.model.embed_tokens.weight.T).square().sum(0).mean()
        noted = NOTE_LENGTH * EMBEDDING_LENGTH / (names @ draft.model.embed_tokens.weight.T).norm(dim=0).mean()
        gain = (MATCH_LOGIT * dim**0.5 / (heard * noted * scale**2)).sqrt()
        query, key = torch.zeros(dim, config.hidden), torch.zeros(dim, config.hidden)
        query[slots] = gain * names[part]
        key[slots] = gain * axes[:, part].T
        attention.q_proj.weight[queries] = query
        attention.k_proj.weight[rows] = key
        content = axes[:, NOTE + 1 + head * dim : NOTE + 1 + (head + 1) * dim]  # [H, D]
        attention.v_proj.weight[rows] = content.T
        share = dim / (config.hidden - NOTE - 1)
        attention.o_proj.weight[:, queries] = content * COPY_LENGTH / (scale * share**0.5)


@torch.no_grad()
def start_copying(draft: Llama, seed: int = 1) -> None:
    """Changes a freshly made draft in place."""
    random = torch.Generator().manual_seed(seed)
    axes = basis(draft.config.hidden, random)
    start_embedding(draft, axes, random)
    mix = basis(draft.config.hidden - NOTE - 1, random)[:NOTE]  # [NOTE, the embedding's axes]
    names = mix @ axes[:, NOTE + 1 :].T
    start_look_back(draft, axes, names)
    start_copy(draft, axes, names)
