"""Shapes, what may grow into what, and where the small model's heads go."""

import dataclasses
import math

ALIGNMENT = 128  # where padding may begin
KEYS = {
    "vocab": "vocab_size",
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn": "intermediate_size",
    "tied": "tie_word_embeddings",
}


@dataclasses.dataclass(frozen=True)
class Shape:
    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    tied: bool

    @staticmethod
    def of_config(config: dict) -> "Shape":
        """What a config.json says, with Hugging Face's defaults for Llama."""
        heads = config["num_attention_heads"]
        defaults = {
            "num_key_value_heads": heads,
            "head_dim": config["hidden_size"] // heads,
            "tie_word_embeddings": False,
        }
        return Shape(**{name: config.get(key) if config.get(key) is not None else defaults[key] for name, key in KEYS.items()})

    def to_config(self) -> dict:
        return {key: getattr(self, name) for name, key in KEYS.items()}

    @property
    def ratio(self) -> int:
        """Query heads that share a KV head."""
        return self.heads // self.kv_heads

    def num_weights(self) -> int:
        """Elements of all tensors."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        layer = attention + 3 * self.hidden * self.ffn + 2 * self.hidden
        return self.vocab * self.hidden * (1 if self.tied else 2) + self.layers * layer + self.hidden

    def multiplies(self) -> int:
        """Weights one token is multiplied with: all linear layers and the head, without attention."""
        layer = 2 * self.head_dim * (self.heads + self.kv_heads) + 3 * self.ffn
        return self.hidden * (self.layers * layer + self.vocab)


def ratio_fits(small: Shape, large: Shape) -> bool:
    """Whether the small model's query heads keep their KV heads under the large ratio, padding aligned."""
    if small.ratio % large.ratio == 0:
        return large.kv_heads >= small.kv_heads * (small.ratio // large.ratio)
    groups_end_aligned = (small.ratio * small.head_dim) % ALIGNMENT == 0
    return large.ratio > small.ratio and large.kv_heads >= small.kv_heads and groups_end_aligned


def like(small: Shape, config: dict) -> Shape:
    """The shape of another model with heads of the small one's size: as wide in all, and where its ratio of query to KV heads
    cannot keep the mapping, with the small model's ratio."""
    other, d = Shape.of_config(config), small.head_dim
    heads = other.heads * other.head_dim // d
    wanted = dataclasses.replace(
        other, heads=heads, kv_heads=max(1, other.kv_heads * other.head_dim // d), head_dim=d
    )
    if wanted.heads % wanted.kv_heads != 0 or not ratio_fits(small, wanted):
        wanted = dataclasses.replace(wanted, kv_heads=heads // small.ratio)
    return wanted


def check(small: Shape, large: Shape) -> None:
    """Raises ValueError naming what does not fit."""
    problems = []
    for name in ("vocab", "hidden", "layers", "heads", "ffn"):
        if getattr(large, name) < getattr(small, name):
            problems.append(f"{name} {getattr(large, name)} is below the model's {getattr(small, name)}")
    if large.head_dim != small.head_dim:
        problems.append(f"the head size {small.head_dim} cannot change")
    if large.heads % large.kv_heads != 0:
        problems.append(f"{large.kv_heads} KV heads do not divide {large.heads} heads")
    elif not ratio_fits(small, large):
        problems.append(
            f"{large.heads} heads on {large.kv_heads} KV heads cannot hold {small.heads} on {small.kv_heads}: the ratio must stay, "
            f"be a divisor, or be larger with {ALIGNMENT} numbers or a multiple in each group, and there must be KV heads enough"
        )
    if large.tied and not small.tied:
        problems.append("a separate head cannot become a tied one")
    kv_heads = len(kv_sources(small, large))
    padded = {  # where padding begins, and whether there is any
        "vocab": (small.vocab, large.vocab > small.vocab),
        "hidden": (small.hidden, large.hidden > small.hidden),
        "ffn": (small.ffn, large.ffn > small.ffn),
        "heads": (small.heads * small.head_dim, large.heads > small.heads),
        "kv_heads": (kv_heads * small.head_dim, large.kv_heads > kv_heads),
    }
    for name, (start, is_padded) in padded.items():
        if is_padded and start % ALIGNMENT != 0:
            problems.append(f"padding of {name} would begin at {start}, no multiple of {ALIGNMENT}")
    if problems:
        raise ValueError("; ".join(problems))


def query_slots(small: Shape, large: Shape) -> list[int]:
    """Head of the large model that holds the small model's query head i."""
    if small.ratio % large.ratio == 0:
        return list(range(small.heads))
    return [i // small.ratio * large.ratio + i % small.ratio for i in range(small.heads)]


def kv_sources(small: Shape, large: Shape) -> list[int]:
    """KV head of the small model that each of the first KV heads of the large model repeats."""
    repeats = max(1, small.ratio // large.ratio)
    return [i // repeats for i in range(small.kv_heads * repeats)]


def layer_slots(small: Shape, large: Shape) -> list[int]:
    """Layer of the large model that holds layer i; the others, spread between them, change nothing."""
    return [math.floor(i * large.layers / small.layers) for i in range(small.layers)]
