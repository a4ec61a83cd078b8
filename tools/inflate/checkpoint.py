"""Reads safetensors checkpoints and writes sharded ones tensor by tensor, so that no large model is ever held whole.

NumPy has no BF16: such tensors are uint16 bit patterns here.
"""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

DTYPES = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def bf16_bits(values: np.ndarray) -> np.ndarray:
    """F32 values rounded to BF16, nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def f32_of_bits(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


class Reader:
    """Tensors of a checkpoint folder as F32, whatever they are stored in."""

    def __init__(self, folder: pathlib.Path):
        index = folder / "model.safetensors.index.json"
        if index.exists():
            files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        else:
            files = ["model.safetensors"]
        self._tensors = {}
        for file in files:
            data = np.memmap(folder / file, np.uint8, "r")
            size = int.from_bytes(data[:8].tobytes(), "little")
            header = json.loads(data[8 : 8 + size].tobytes())
            header.pop("__metadata__", None)
            for name, entry in header.items():
                begin, end = (8 + size + at for at in entry["data_offsets"])
                self._tensors[name] = (entry["dtype"], data[begin:end], entry["shape"])

    def names(self) -> list[str]:
        return list(self._tensors)

    def dtype(self, name: str) -> str:
        return self._tensors[name][0]

    def get(self, name: str) -> np.ndarray:
        dtype, data, shape = self._tensors[name]
        values = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
        return f32_of_bits(values) if dtype == "BF16" else values.astype(np.float32)


class Entry(NamedTuple):
    """A tensor to be written: `pieces` yields its rows in order as arrays of the stored type."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[np.ndarray]]

    def num_bytes(self) -> int:
        return int(np.prod(self.shape)) * DTYPES[self.dtype].itemsize


def shards_of(entries: list[Entry], limit: int) -> list[list[Entry]]:
    """Neighbours together up to `limit` bytes a file; a larger tensor has a file of its own."""
    shards, used = [[]], 0
    for entry in entries:
        if shards[-1] and used + entry.num_bytes() > limit:
            shards.append([])
            used = 0
        shards[-1].append(entry)
        used += entry.num_bytes()
    return shards


def write(folder: pathlib.Path, entries: list[Entry], limit: int) -> None:
    """One model.safetensors, or shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("model*.safetensors*"):
        old.unlink()
    shards = shards_of(entries, limit)
    names = [f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    if len(shards) == 1:
        names = ["model.safetensors"]
    for name, shard in zip(names, shards):
        _write_file(folder / name, shard)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(entry.num_bytes() for entry in entries)},
            "weight_map": {entry.name: name for name, shard in zip(names, shards) for entry in shard},
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def _write_file(path: pathlib.Path, entries: list[Entry]) -> None:
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for entry in entries:
        end = at + entry.num_bytes()
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data section begins aligned
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for entry in entries:
            begin = out.tell()
            for piece in entry.pieces():
                out.write(np.ascontiguousarray(piece, DTYPES[entry.dtype]).data)
            if out.tell() - begin != entry.num_bytes():
                raise AssertionError(f"{entry.name}: {out.tell() - begin} bytes instead of {entry.num_bytes()}")
