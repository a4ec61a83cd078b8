"""Plants a copying circuit in the draft's two layers, so that distillation refines it instead of having to discover it.

Six million tokens taught the draft no copying at all (0 of random repeats), although half of its corpus copies. A pair of
heads does it: layer 0 writes "what the token before me was", layer 1 looks for the place whose predecessor is the present
token and reads what stands there (Elhage et al. 2021, Olsson et al. 2022). The weights below are solved for by least
squares on the draft's own activations:

    layer 0, key head 0:  k constant, q rotated one position back -> attends to position t - 1; v = z(token), 32 numbers
    layer 1, both groups: q = z(this token), k = z(token before), 16 numbers each in the slow rotary pairs
                          v = whitened embedding of the token there (32 + 32 numbers), o = back to the logits

    python -m tools.demo_model.induction --weights RUNDIR/weights.pt --tokenizer DIR/tokenizer.json --out planted.pt
"""

import argparse
import pathlib

import torch
from tokenizers import Tokenizer

from . import data
from .model import SHAPES, Llama
from .train import part

SLOW_PAIRS = range(8, 16)  # rotary pairs that turn less than half a radian in 50 positions
CONSTANT_SHARE = 0.6  # of an embedding's length
WRITE_SHARE = 0.7  # length of the "previous token" note against an embedding's
PREVIOUS_SHARPNESS = 40.0  # logit scale of the "one back" head before the division by sqrt(D)
MATCH_SHARPNESS = 2.5  # logit per unit of whitened match
COPY_LOGIT = 30.0  # logit a perfect match adds to the copied token


def whitener(rows: torch.Tensor, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Principal directions first..first+count of rows [N, H]: (centre [H], map [count, H] to unit variance)."""
    centre = rows.mean(0)
    _, sigma, directions = torch.linalg.svd(rows - centre, full_matrices=False)
    sigma = sigma / len(rows) ** 0.5
    return centre, directions[first : first + count] / sigma[first : first + count, None]


def solve(inputs: torch.Tensor, outputs: torch.Tensor, ridge: float = 1e-6) -> torch.Tensor:
    """Least-squares map [outputs, H] with inputs [N, H] -> outputs [N, outputs]."""
    gram = inputs.T @ inputs / len(inputs)
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, inputs.T @ outputs / len(inputs)).T


def silence(writer: torch.Tensor, directions: torch.Tensor) -> None:
    """Keeps a matrix [H, n] from writing along orthonormal directions [H, k] of the residual stream."""
    writer -= directions @ (directions.T @ writer)


def plant_constant(draft: Llama) -> torch.Tensor:
    """Gives every embedding the same share of its least used direction; returns the reader [H] of that share.

    After the norm the share is one number for all tokens: a key that depends on the position alone. The embedding is tied
    to the output, so the layers are kept from writing along that direction.
    """
    embeddings = draft.model.embed_tokens.weight
    direction = torch.linalg.svd(embeddings, full_matrices=False)[2][-1]
    embeddings -= (embeddings @ direction)[:, None] * direction
    embeddings += CONSTANT_SHARE * embeddings.norm(dim=1, keepdim=True) * direction
    output = (direction * draft.model.norm.weight)[:, None]
    for layer in draft.model.layers:
        silence(layer.self_attn.o_proj.weight, output / output.norm())
        silence(layer.mlp.down_proj.weight, output / output.norm())
    reader = direction / draft.model.layers[0].input_layernorm.weight
    tokens = draft.model.layers[0].input_layernorm(embeddings)
    return reader / (tokens @ reader).mean()


def plant_previous(draft: Llama, ids: torch.Tensor) -> torch.Tensor:
    """Layer 0, key head 0: writes z(previous token) into 32 quiet directions. Returns z [V, 32]."""
    layer, dim = draft.model.layers[0], draft.config.head_dim
    constant = plant_constant(draft)
    tokens = layer.input_layernorm(draft.model.embed_tokens.weight)  # [V, H], what the layer reads
    states = inputs_of_layer_1(draft, ids).flatten(0, 1)
    quiet = torch.linalg.svd(states - states.mean(0), full_matrices=False)[2].T.flip(1)  # [H, H]
    attention = layer.self_attn
    silence(attention.o_proj.weight, quiet[:, : 2 * dim])  # nothing else of this layer writes there
    silence(layer.mlp.down_proj.weight, quiet[:, : 2 * dim])
    theta = draft.config.rope_theta ** (-torch.arange(0, dim, 2) / dim)
    scale = PREVIOUS_SHARPNESS**0.5
    key = torch.cat([torch.ones(dim // 2), torch.zeros(dim // 2)]) * scale
    attention.k_proj.weight[:dim] = key[:, None] * constant
    centre, white = whitener(tokens, 0, dim)
    attention.v_proj.weight[:dim] = white - (white @ centre)[:, None] * constant
    size = WRITE_SHARE * draft.model.embed_tokens.weight.norm(dim=1).mean() / dim**0.5
    for head in range(2):  # head 0 looks one position back, head 1 at its own
        rows = slice(head * dim, (head + 1) * dim)
        angle = -theta * (1 - head)
        query = torch.cat([torch.cos(angle), torch.sin(angle)]) * scale
        attention.q_proj.weight[rows] = query[:, None] * constant
        attention.o_proj.weight[:, rows] = quiet[:, rows] * size
    return (tokens - centre) @ white.T


def plant_copy(draft: Llama, ids: torch.Tensor, z: torch.Tensor) -> None:
    """Layer 1, both key heads: finds the place after the last occurrence of this token and copies what is there."""
    layer, dim = draft.model.layers[1], draft.config.head_dim
    states = inputs_of_layer_1(draft, ids)
    inputs = layer.input_layernorm(states)[:, 1:].flatten(0, 1)
    this, before = ids[:, 1:].flatten(), ids[:, :-1].flatten()
    slots = [i for i in SLOW_PAIRS] + [i + dim // 2 for i in SLOW_PAIRS]
    embeddings = draft.model.embed_tokens.weight
    attention, spread = layer.self_attn, (MATCH_SHARPNESS * dim**0.5) ** 0.5
    final_rms = (states + 0.0).square().mean().sqrt() * 1.5  # the layer's own writes come on top
    for group in range(2):
        part_of_z = z[:, group * 16 : group * 16 + 16]
        query = torch.zeros(dim, draft.config.hidden)
        key = torch.zeros(dim, draft.config.hidden)
        query[slots] = solve(inputs, part_of_z[this]) * spread
        key[slots] = solve(inputs, part_of_z[before]) * spread
        centre, white = whitener(embeddings, group * dim, dim)
        value = solve(inputs, ((embeddings - centre) @ white.T)[this])
        attention.k_proj.weight[group * dim : (group + 1) * dim] = key
        attention.v_proj.weight[group * dim : (group + 1) * dim] = value
        for head in (2 * group, 2 * group + 1):
            rows = slice(head * dim, (head + 1) * dim)
            attention.q_proj.weight[rows] = query
            gain = COPY_LOGIT / (4 * dim) * final_rms
            attention.o_proj.weight[:, rows] = gain * white.T / draft.model.norm.weight[:, None]


def inputs_of_layer_1(draft: Llama, ids: torch.Tensor) -> torch.Tensor:
    """Residual stream [S, T, H] between the layers; ids [S, T]."""
    x = draft.model.embed_tokens(ids)
    return draft.model.layers[0](x, draft.cos[: ids.shape[1]], draft.sin[: ids.shape[1]])


@torch.no_grad()
def plant(draft: Llama, ids: torch.Tensor) -> None:
    """Changes the draft in place; ids [S, T] is text to solve on."""
    plant_copy(draft, ids, plant_previous(draft, ids))


def repeats_copied(draft: Llama) -> float:
    """Share of random repeated tokens that the draft predicts."""
    unit = torch.randint(data.FIRST_PLAIN_ID, data.VOCAB, (40,), generator=torch.Generator().manual_seed(1))
    ids = torch.cat([torch.tensor([data.BOS_ID]), unit, unit, unit])[None]
    with torch.no_grad():
        best = draft(ids)[0, 40:-1].argmax(-1)
    return (best == ids[0, 41:]).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    draft = Llama(SHAPES["draft"])
    draft.load_state_dict(part(args.weights, "draft"))
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    ids, _ = data.batch(tokenizer, 31, 0, 16384, 256, echo_share=0.8)
    before = repeats_copied(draft)
    plant(draft, torch.from_numpy(ids))
    print(f"random repeats copied: {before:.3f} before, {repeats_copied(draft):.3f} after")
    torch.save(draft.state_dict(), args.out)


if __name__ == "__main__":
    main()
