"""Writes a GGUF file of random weights: a peer's model of one of our shapes. Runs in the peers' environment.

    DIR/venv/bin/python -m bench.peers.gguf_model SHAPE TYPE FILE           (TYPE: Q4_0, Q8_0, BF16)

The weights are random in the type itself, nothing is quantized. The tokenizer is the smallest that llama.cpp loads: the
256 bytes of SentencePiece's byte fallback, control tokens, and names nobody types up to the shape's vocabulary.
"""

import os
import sys
from pathlib import Path

from bench.peers.shape import BLOCKS, Shape, Tensor

CONTROL = ("<unk>", "<s>", "</s>")
# As llama.cpp numbers kinds of tokens (gguf.TokenType) ...
NORMAL, UNKNOWN, CONTROL_KIND, BYTE = 1, 2, 3, 6


def vocabulary(size: int) -> tuple[list[bytes], list[float], list[int]]:
    """Pieces, scores and kinds. Text becomes one token a byte: no other piece can be made of what people type."""
    pieces = [name.encode() for name in CONTROL] + [b"<0x%02X>" % byte for byte in range(256)]
    kinds = [UNKNOWN, CONTROL_KIND, CONTROL_KIND] + [BYTE] * 256
    if size < len(pieces):
        raise ValueError(f"a vocabulary of {size} has no room for 256 bytes and {len(CONTROL)} control tokens")
    rest = range(size - len(pieces))
    pieces += [b"\xee\x80\x80%d" % i for i in rest]  # U+E000 is for private use
    kinds += [NORMAL] * len(rest)
    return pieces, [0.0] * (len(CONTROL) + 256) + [-1.0 - i for i in rest], kinds


def random_rows(tensor: Tensor, kind: str, random) -> "np.ndarray":
    """[rows, bytes of a row] uint8, whose products with a row of unit values are about as large."""
    import numpy as np

    per_block, block_bytes = BLOCKS[kind]
    row_bytes = tensor.columns // per_block * block_bytes
    deviation = tensor.columns ** -0.5
    if kind == "BF16":
        values = random.standard_normal((tensor.rows, tensor.columns), dtype=np.float32) * np.float32(deviation)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    # A block is a scale in F16 and 32 integers: nibbles less 8 (Q4_0), or bytes (Q8_0). Uniform ones deviate by
    # 16 / sqrt(12) and 256 / sqrt(12).
    levels = 16 if kind == "Q4_0" else 256
    blocks = np.frombuffer(random.bytes(tensor.rows * row_bytes), np.uint8).reshape(-1, block_bytes).copy()
    blocks[:, :2] = np.frombuffer(np.float16(deviation * 12 ** 0.5 / levels).tobytes(), np.uint8)
    return blocks.reshape(tensor.rows, row_bytes)


def add_metadata(writer, shape: Shape) -> None:
    writer.add_name(f"random {shape.name}")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)
    pieces, scores, kinds = vocabulary(shape.vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def write_model(shape: Shape, kind: str, path: Path) -> None:
    """Into a file beside `path` first: a model that is there is whole."""
    import gguf
    import numpy as np

    types = gguf.GGMLQuantizationType
    part = path.with_name(f"{path.name}.{os.getpid()}")
    writer = gguf.GGUFWriter(str(part), "llama")
    add_metadata(writer, shape)
    writer.add_file_type({"Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
                          "BF16": gguf.LlamaFileType.MOSTLY_BF16}[kind])
    for tensor in shape.tensors():
        if tensor.rows == 0:
            writer.add_tensor_info(tensor.name, (tensor.columns,), np.dtype(np.float32), tensor.bytes("F32"))
        else:
            row_bytes = tensor.bytes(kind) // tensor.rows
            writer.add_tensor_info(tensor.name, (tensor.rows, row_bytes), np.dtype(np.uint8), tensor.bytes(kind),
                                   raw_dtype=types[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    for tensor in shape.tensors():
        is_vector = tensor.rows == 0
        writer.write_tensor_data(np.ones(tensor.columns, np.float32) if is_vector
                                 else random_rows(tensor, kind, random))
    writer.close()
    part.rename(path)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    write_model(Shape.named(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
