"""The large model's tensors, made one at a time from the small model's (the diagram is in __init__.py)."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator

import numpy as np

from .checkpoint import Entry, Reader, bf16_bits
from .shape import Shape, kv_sources, layer_slots, query_slots

PIECE_ELEMENTS = 1 << 22  # made at once
PREFIX = "model.layers."


@dataclasses.dataclass(frozen=True)
class Block:
    """A small matrix inside a large one: small row i goes to row rows[i], likewise for columns."""

    values: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def numbers_of_heads(heads: list[int], head_dim: int) -> np.ndarray:
    """Rows (or columns) that these heads take."""
    return (np.array(heads)[:, None] * head_dim + np.arange(head_dim)).ravel()


class Inflater:
    """Entries of the large checkpoint; the same seed gives the same bytes."""

    def __init__(self, reader: Reader, small: Shape, large: Shape, seed: int):
        self._reader, self._small, self._large, self._seed = reader, small, large, seed
        self._dtype = "BF16" if all(reader.dtype(n) == "BF16" for n in reader.names()) else "F32"
        d = small.head_dim
        self._queries = numbers_of_heads(query_slots(small, large), d)
        self._kv_rows = numbers_of_heads(kv_sources(small, large), d)  # of the small tensor

    def entries(self) -> list[Entry]:
        small, large = self._small, self._large
        entries = [self._embedding()]
        slots = {slot: i for i, slot in enumerate(layer_slots(small, large))}
        source = 0
        for index in range(large.layers):
            source = slots.get(index, source)
            entries += self._layer(index, source, index in slots)
        entries.append(self._gain("model.norm.weight", "model.norm.weight", True))
        if not large.tied:
            head = "model.embed_tokens.weight" if small.tied else "lm_head.weight"
            block = self._block(head, np.arange(small.vocab), np.arange(small.hidden))
            entries.append(self._matrix("lm_head.weight", (large.vocab, large.hidden), block, True))
        return entries

    def _layer(self, index: int, source: int, real: bool) -> list[Entry]:
        """Layer `index` with the weights of small layer `source`, or random ones of their spread that lead nowhere."""
        small, large, d = self._small, self._large, self._small.head_dim
        hidden, units = np.arange(small.hidden), np.arange(small.ffn)
        kv = np.arange(len(self._kv_rows))
        plan = {
            "self_attn.q_proj": (large.heads * d, large.hidden, self._queries, hidden),
            "self_attn.k_proj": (large.kv_heads * d, large.hidden, kv, hidden),
            "self_attn.v_proj": (large.kv_heads * d, large.hidden, kv, hidden),
            "self_attn.o_proj": (large.hidden, large.heads * d, hidden, self._queries),
            "mlp.gate_proj": (large.ffn, large.hidden, units, hidden),
            "mlp.up_proj": (large.ffn, large.hidden, units, hidden),
            "mlp.down_proj": (large.hidden, large.ffn, hidden, units),
        }
        entries = []
        for norm in ("input_layernorm", "post_attention_layernorm"):
            name = f"{norm}.weight"
            entries.append(self._gain(f"{PREFIX}{index}.{name}", f"{PREFIX}{source}.{name}", real))
        for stem, (num_rows, num_columns, rows, columns) in plan.items():
            picked = self._kv_rows if stem.endswith(("k_proj", "v_proj")) else None
            block = self._block(f"{PREFIX}{source}.{stem}.weight", rows, columns, picked)
            random = not stem.endswith(("o_proj", "down_proj"))
            name = f"{PREFIX}{index}.{stem}.weight"
            entries.append(self._matrix(name, (num_rows, num_columns), block, random, real))
        return entries

    def _block(self, name: str, rows, columns, picked=None) -> Block:
        values = self._reader.get(name)
        return Block(values if picked is None else values[picked], rows, columns)

    def _random(self, name: str) -> np.random.Generator:
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        return np.random.Generator(np.random.SFC64(int.from_bytes(digest[:8], "little")))

    def _stored(self, values: np.ndarray) -> np.ndarray:
        return bf16_bits(values) if self._dtype == "BF16" else values

    def _matrix(self, name: str, shape: tuple[int, int], block: Block, random: bool, real: bool = True) -> Entry:
        """`block` (left out unless `real`) amid random numbers of its spread, or amid zeros."""
        spread = np.float32(block.values.std())

        def pieces() -> Iterator[np.ndarray]:
            source = self._random(name)
            count = max(1, PIECE_ELEMENTS // shape[1])
            for begin in range(0, shape[0], count):
                size = (min(count, shape[0] - begin), shape[1])
                piece = np.zeros(size, np.float32)
                if random:
                    piece = source.standard_normal(size, np.float32) * spread
                inside = (block.rows >= begin) & (block.rows < begin + size[0])
                if real and inside.any():
                    piece[np.ix_(block.rows[inside] - begin, block.columns)] = block.values[inside]
                yield self._stored(piece)

        return Entry(name, self._dtype, shape, pieces)

    def _embedding(self) -> Entry:
        name, small, large = "model.embed_tokens.weight", self._small, self._large
        values = self._reader.get(name)
        spread = np.float32(values.std())

        def pieces() -> Iterator[np.ndarray]:
            source = self._random(name)
            real = np.zeros((small.vocab, large.hidden), np.float32)
            real[:, : small.hidden] = values
            yield self._stored(real)
            count = max(1, PIECE_ELEMENTS // large.hidden)
            for begin in range(small.vocab, large.vocab, count):
                size = (min(count, large.vocab - begin), large.hidden)
                yield self._stored(source.standard_normal(size, np.float32) * spread)

        return Entry(name, self._dtype, (large.vocab, large.hidden), pieces)

    def _gain(self, name: str, source_name: str, real: bool) -> Entry:
        small, large = self._small, self._large
        scaled = self._reader.get(source_name).astype(np.float64) * math.sqrt(small.hidden / large.hidden)
        noise = self._random(name).standard_normal(large.hidden)
        gains = scaled.mean() + scaled.std() * noise
        if real:
            gains[: small.hidden] = scaled
        return Entry(name, "F32", (large.hidden,), lambda: iter([gains.astype(np.float32)]))


def inflated_config(config: dict, small: Shape, large: Shape) -> dict:
    """The small model's config.json with the large shape, the scaled epsilon and the vocabulary's true end."""
    eps = config.get("rms_norm_eps", 1e-6) * small.hidden / large.hidden
    limit = config.get("runahead_vocab_limit", small.vocab)
    return {**config, **large.to_config(), "rms_norm_eps": eps, "runahead_vocab_limit": limit}
