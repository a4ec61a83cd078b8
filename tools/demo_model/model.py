"""A small Llama decoder for training, with the arithmetic and the weight names of Hugging Face's LlamaForCausalLM."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Shape of one model; letters as in the architecture page: H hidden, Nq/Nkv heads, D head dim, I ffn, V vocab, L layers."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    rope_theta: float = 10000.0
    max_positions: int = 2048
    rms_eps: float = 1e-5

    def num_parameters(self) -> int:
        """Parameters, the tied embedding counted once."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        layer = attention + 3 * self.hidden * self.ffn + 2 * self.hidden
        return self.vocab * self.hidden + self.layers * layer + self.hidden


TARGET = ModelConfig(vocab=2048, hidden=256, layers=6, heads=8, kv_heads=4, head_dim=32, ffn=768)
# The large theta gives copying more rotary pairs that hardly turn within a prompt (induction.py).
DRAFT = ModelConfig(
    vocab=2048, hidden=128, layers=2, heads=4, kv_heads=4, head_dim=32, ffn=384, rope_theta=500000.0
)
SHAPES = {"target": TARGET, "draft": DRAFT}


def rope_tables(config: ModelConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, each [max_positions, D] f32, in the half-split order of the Hugging Face layout."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    angles = torch.outer(
        torch.arange(config.max_positions, dtype=torch.float32), config.rope_theta**-exponent
    )
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def apply_rope(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates x [S, N, T, D] by position; cos and sin are [T, D]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis, in f32."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        return (
            wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps) * self.weight
        ).to(x.dtype)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.q_proj = nn.Linear(config.hidden, config.heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden, config.kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden, config.kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.hidden, bias=False)

    def forward(self, x, cos, sin, cache=None):
        """x [S, T, H] -> [S, T, H]; cache is a dict with "k" and "v" [S, Nkv, past, D] that grows, or None."""
        config = self.config
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, config.heads, config.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, config.kv_heads, config.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, config.kv_heads, config.head_dim).transpose(1, 2)
        q, k = apply_rope(q, cos, sin), apply_rope(k, cos, sin)
        mask = None
        if cache is not None:
            if "k" in cache:
                k, v = torch.cat([cache["k"], k], dim=2), torch.cat([cache["v"], v], dim=2)
            cache["k"], cache["v"] = k, v
            mask = cache.get("mask")  # [S, 1, T, past + T] bool, True where a key is visible
        group = config.heads // config.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None and length > 1
        )
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    """SwiGLU feed-forward."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = RmsNorm(config.hidden, config.rms_eps)
        self.post_attention_layernorm = RmsNorm(config.hidden, config.rms_eps)

    def forward(self, x, cos, sin, cache=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, layers and final norm; the part that Hugging Face names `model`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab, config.hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.hidden, config.rms_eps)


class Llama(nn.Module):
    """Causal language model with tied embeddings."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(self._initialise)
        scale = (2 * config.layers) ** -0.5
        for (
            layer
        ) in self.model.layers:  # residual writers start small, so depth does not grow the stream
            layer.self_attn.o_proj.weight.data.mul_(scale)
            layer.mlp.down_proj.weight.data.mul_(scale)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5 * 0.6)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def hidden_states(self, ids, caches=None, positions=None):
        """ids [S, T] -> final normed states [S, T, H]; positions [S, T] where rows do not all start at 0."""
        x = self.model.embed_tokens(ids)
        if positions is None:
            cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        dtype = (
            torch.bfloat16
            if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
            else x.dtype
        )
        x, cos, sin = x.to(dtype), cos.to(dtype), sin.to(dtype)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, None if caches is None else caches[index])
        return self.model.norm(x)

    def forward(self, ids, caches=None, positions=None):
        """ids [S, T] -> logits [S, T, V]."""
        return F.linear(self.hidden_states(ids, caches, positions), self.model.embed_tokens.weight)
