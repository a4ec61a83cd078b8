"""Reads the beginning of a GGUF file, whatever types its tensors have: how many bytes each takes.

Only what ratios per byte need: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from pathlib import Path
from typing import BinaryIO

# Kinds of metadata values, by number; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


def _read(file: BinaryIO, layout: str):
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _string(file: BinaryIO) -> str:
    return file.read(_read(file, "<Q")).decode(errors="replace")


def _value(file: BinaryIO, kind: int):
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item, count = _read(file, "<I"), _read(file, "<Q")
        if item in _SCALARS:
            file.seek(count * struct.calcsize(_SCALARS[item]), 1)
        else:
            for _ in range(count):
                _value(file, item)
        return None  # nobody asks for an array
    return _read(file, _SCALARS[kind])


def tensor_bytes(path: Path) -> dict[str, int]:
    """Bytes of each tensor by name, as far as the next one's begin."""
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is no GGUF file")
        version, num_tensors, num_values = _read(file, "<I"), _read(file, "<Q"), _read(file, "<Q")
        if version not in (2, 3):
            raise ValueError(f"{path} has GGUF version {version}, known are 2 and 3")
        alignment = 32
        for _ in range(num_values):
            key = _string(file)
            value = _value(file, _read(file, "<I"))
            if key == "general.alignment":
                alignment = value
        offsets = {}
        for _ in range(num_tensors):
            name = _string(file)
            file.seek(8 * _read(file, "<I") + 4, 1)  # dimensions and type
            offsets[name] = _read(file, "<Q")
        begin = -(-file.tell() // alignment) * alignment
        ends = sorted(offsets.values())[1:] + [path.stat().st_size - begin]
    return {name: end - offset for (name, offset), end in zip(sorted(offsets.items(), key=lambda o: o[1]), ends)}


def step_bytes(path: Path) -> int:
    """What a step reads of the weights: all matrices but a table of embeddings beside a head of its own."""
    sizes = tensor_bytes(path)
    has_head = "output.weight" in sizes
    return sum(size for name, size in sizes.items()
               if "norm" not in name and not (has_head and name == "token_embd.weight"))
