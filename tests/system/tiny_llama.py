"""A Llama of a dozen tokens whose next-token distribution can be written down: random weights, the checkpoint that
`runahead serve` loads, and the same forward in numpy, f64, from nothing but the architecture's definition."""

import json
from pathlib import Path

import numpy as np

LETTERS = "abcdefghijkl"  # the vocabulary: token i is the i-th
HIDDEN, INNER, HEADS, KV_HEADS, LAYERS = 32, 48, 4, 2, 2
HEAD = HIDDEN // HEADS
EPS, THETA = 1e-5, 10000.0


def random_weights(seed: int) -> dict[str, np.ndarray]:
    """Large enough that the next token depends on all before it, and no token is nearly certain or impossible."""
    dice = np.random.default_rng(seed)

    def normal(*shape, scale):
        return dice.normal(scale=scale, size=shape).astype(np.float32)

    weights = {"model.embed_tokens.weight": normal(len(LETTERS), HIDDEN, scale=1),
               "model.norm.weight": 1 + normal(HIDDEN, scale=0.1),
               "lm_head.weight": normal(len(LETTERS), HIDDEN, scale=0.8 / HIDDEN**0.5)}
    shapes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KV_HEADS * HEAD, HIDDEN),
              "self_attn.v_proj": (KV_HEADS * HEAD, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
              "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, shape in shapes.items():
            weights[f"{prefix}{name}.weight"] = normal(*shape, scale=1.5 / shape[1]**0.5)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{prefix}{norm}.weight"] = 1 + normal(HIDDEN, scale=0.1)
    return weights


def perturbed(weights: dict[str, np.ndarray], seed: int, scale: float) -> dict[str, np.ndarray]:
    """A draft that is often right, and often wrong: the same weights, each off by `scale` of its matrix' spread."""
    dice = np.random.default_rng(seed)
    return {name: (w + dice.normal(scale=scale * w.std(), size=w.shape)).astype(np.float32)
            for name, w in weights.items()}


def write_checkpoint(directory: Path, weights: dict[str, np.ndarray]) -> Path:
    """In Hugging Face's layout, f32."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
              "vocab_size": len(LETTERS), "hidden_size": HIDDEN, "intermediate_size": INNER,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
              "max_position_embeddings": 64, "rms_norm_eps": EPS, "rope_theta": THETA, "hidden_act": "silu",
              "tie_word_embeddings": False}
    tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                 "post_processor": None, "decoder": {"type": "Fuse"},
                 "model": {"type": "BPE", "vocab": {letter: i for i, letter in enumerate(LETTERS)}, "merges": []}}
    header, offset = {}, 0
    for name, w in weights.items():
        header[name] = {"dtype": "F32", "shape": list(w.shape), "data_offsets": [offset, offset + w.nbytes]}
        offset += w.nbytes
    head = json.dumps(header).encode()
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    (directory / "tokenizer_config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(
        len(head).to_bytes(8, "little") + head + b"".join(w.tobytes() for w in weights.values()))
    return directory


def _norm(x, gain):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * gain


def _rotate(x):
    """Rotary position embedding of x, [B, T, heads, HEAD], halves paired."""
    frequencies = THETA ** (-np.arange(0, HEAD, 2) / HEAD)
    angles = np.arange(x.shape[1])[:, None] * frequencies
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    low, high = x[..., :HEAD // 2], x[..., HEAD // 2:]
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


def _attend(x, weights, prefix):
    batch, length, _ = x.shape
    q, k, v = ((x @ weights[f"{prefix}self_attn.{name}_proj.weight"].T).reshape(batch, length, -1, HEAD)
               for name in "qkv")
    q, k = _rotate(q), _rotate(k)
    k, v = (np.repeat(t, HEADS // KV_HEADS, axis=2) for t in (k, v))
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / HEAD**0.5
    scores[:, :, np.triu(np.ones((length, length), bool), 1)] = -np.inf
    weight = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    mixed = np.einsum("bhqk,bkhd->bqhd", weight, v).reshape(batch, length, HIDDEN)
    return mixed @ weights[f"{prefix}self_attn.o_proj.weight"].T


def next_logits(weights: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """[B, T] token ids -> [B, vocabulary] logits of the token that follows each row."""
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        x = x + _attend(_norm(x, weights[f"{prefix}input_layernorm.weight"]), weights, prefix)
        y = _norm(x, weights[f"{prefix}post_attention_layernorm.weight"])
        gate = y @ weights[f"{prefix}mlp.gate_proj.weight"].T
        up = y @ weights[f"{prefix}mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{prefix}mlp.down_proj.weight"].T
    return _norm(x[:, -1], weights["model.norm.weight"]) @ weights["lm_head.weight"].T


def next_distribution(logits: np.ndarray, output: np.ndarray, prompt: list[int], temperature: float = 1,
                      top_k: int = 0, top_p: float = 1, min_p: float = 0, presence_penalty: float = 0,
                      frequency_penalty: float = 0, repetition_penalty: float = 1,
                      logit_bias: dict | None = None) -> np.ndarray:
    """[B, vocabulary] logits after [B, t] output tokens -> what a sampler with these options draws from.

    Bias and penalties, temperature, top_k, top_p of what top_k left, min_p of what is most likely. A cut that rounding
    could decide is refused: the served model computes in f32.
    """
    logits = logits.copy()
    for token, bias in (logit_bias or {}).items():
        logits[:, int(token)] += bias
    counts = np.stack([(output == token).sum(axis=1) for token in range(logits.shape[1])], axis=1)
    seen = (counts > 0) | np.isin(np.arange(logits.shape[1]), prompt)
    logits = np.where(seen, np.where(logits > 0, logits / repetition_penalty, logits * repetition_penalty), logits)
    logits = logits - presence_penalty * (counts > 0) - frequency_penalty * counts
    p = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    order = np.argsort(-p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    if top_k:
        ranked[:, top_k:] = 0
    before = (np.cumsum(ranked, axis=1) - ranked) / ranked.sum(axis=1, keepdims=True)
    assert top_p == 1 or abs(before - top_p).min() > 1e-5, "choose another seed"
    assert min_p == 0 or abs(ranked - min_p).min() > 1e-5, "choose another seed"
    ranked[(before >= top_p) | (ranked < min_p)] = 0
    cut = np.zeros_like(p)
    np.put_along_axis(cut, order, ranked, axis=1)
    return cut / cut.sum(axis=1, keepdims=True)


def sequence_distribution(weights: dict[str, np.ndarray], prompt: list[int], length: int, **options) -> np.ndarray:
    """[vocabulary] * length: the probability of every answer of that many tokens, by enumeration."""
    vocabulary = len(LETTERS)
    joint = np.ones(1)
    outputs = np.zeros((1, 0), int)
    for _ in range(length):
        tokens = np.concatenate([np.tile(prompt, (len(outputs), 1)), outputs], axis=1)
        p = next_distribution(next_logits(weights, tokens), outputs, prompt, **options)
        joint = (joint[:, None] * p).reshape(-1)
        outputs = np.concatenate([np.repeat(outputs, vocabulary, axis=0),
                                  np.tile(np.arange(vocabulary), len(outputs))[:, None]], axis=1)
    return joint.reshape([vocabulary] * length)
