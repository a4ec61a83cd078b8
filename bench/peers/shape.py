"""The shapes of bench/shapes: what matrices a model has, and how many bytes they take in a type of GGUF."""

import json
from dataclasses import dataclass
from pathlib import Path

SHAPES = Path(__file__).resolve().parents[1] / "shapes"

# Type of a GGUF tensor: weights of a block, bytes of a block.
BLOCKS = {"F32": (1, 4), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18)}


@dataclass(frozen=True)
class Tensor:
    """A matrix of [rows, columns], or a vector of [columns] where rows is 0; columns lie side by side."""
    name: str
    rows: int
    columns: int

    @property
    def weights(self) -> int:
        return max(1, self.rows) * self.columns

    def bytes(self, kind: str) -> int:
        per_block, block_bytes = BLOCKS[kind]
        if self.columns % per_block != 0:
            raise ValueError(f"{self.name} has rows of {self.columns} weights, {kind} has blocks of {per_block}")
        return self.weights // per_block * block_bytes


@dataclass(frozen=True)
class Shape:
    name: str
    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    context: int
    rope_theta: float
    norm_eps: float

    @staticmethod
    def named(name: str) -> "Shape":
        return Shape.of_config(name, json.loads((SHAPES / name / "config.json").read_text()))

    @staticmethod
    def of_config(name: str, config: dict) -> "Shape":
        heads = config["num_attention_heads"]
        return Shape(name, config["vocab_size"], config["hidden_size"], config["intermediate_size"],
                     config["num_hidden_layers"], heads, config["num_key_value_heads"],
                     config.get("head_dim") or config["hidden_size"] // heads, config["tie_word_embeddings"],
                     config["max_position_embeddings"], config["rope_theta"], config["rms_norm_eps"])

    @property
    def directory(self) -> Path:
        return SHAPES / self.name

    def tensors(self) -> list[Tensor]:
        """All of a GGUF file of this shape, in the file's order."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        tensors = [Tensor("token_embd.weight", self.vocab, self.hidden), Tensor("output_norm.weight", 0, self.hidden)]
        if not self.tied:
            tensors.append(Tensor("output.weight", self.vocab, self.hidden))
        for layer in range(self.layers):
            tensors += [Tensor(f"blk.{layer}.{name}.weight", rows, columns) for name, rows, columns in (
                ("attn_norm", 0, self.hidden), ("attn_q", q, self.hidden), ("attn_k", kv, self.hidden),
                ("attn_v", kv, self.hidden), ("attn_output", self.hidden, q), ("ffn_norm", 0, self.hidden),
                ("ffn_gate", self.ffn, self.hidden), ("ffn_up", self.ffn, self.hidden),
                ("ffn_down", self.hidden, self.ffn))]
        return tensors

    def step_tensors(self) -> list[Tensor]:
        """The matrices that every step reads whole: all but a table of embeddings that is not the head too."""
        return [t for t in self.tensors() if t.rows > 0 and (self.tied or t.name != "token_embd.weight")]

    @property
    def step_weights(self) -> int:
        return sum(t.weights for t in self.step_tensors())
