"""python -m tools.inflate --model models/demo/target --like tools/inflate/shapes/target-1b.json --out DIR"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys

from . import __doc__ as description
from .checkpoint import Reader, write
from .shape import Shape, check, like
from .widen import Inflater, inflated_config

COPIED = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model")
NOT_KEPT = ("attention_bias", "mlp_bias", "quantization_config")  # true or present: not a plain Llama


def inflate(
    model: pathlib.Path, out: pathlib.Path, wanted, seed: int = 1, shard_bytes: int = 1 << 30
) -> tuple[Shape, Shape]:
    """Writes the checkpoint; wanted(small shape) -> large shape. Returns both; raises ValueError where they do not fit."""
    config = json.loads((model / "config.json").read_text())
    if config.get("architectures") != ["LlamaForCausalLM"] or any(config.get(key) for key in NOT_KEPT):
        raise ValueError("only Llama checkpoints without biases or quantization can grow")
    small = Shape.of_config(config)
    large = wanted(small)
    check(small, large)
    write(out, Inflater(Reader(model), small, large, seed).entries(), shard_bytes)
    (out / "config.json").write_text(json.dumps(inflated_config(config, small, large), indent=2) + "\n")
    for name in COPIED:
        if (model / name).exists():
            shutil.copy(model / name, out / name)
    return small, large


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools.inflate", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=pathlib.Path, required=True, help="checkpoint folder to grow")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--like", type=pathlib.Path, help="a config.json whose shape to take")
    for name in ("vocab", "hidden", "layers", "heads", "kv-heads", "ffn"):
        parser.add_argument(f"--{name}", type=int, help="instead of what --like or the model says")
    parser.add_argument("--untie", action="store_true", help="write a separate head")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard-bytes", type=int, default=1 << 30)
    args = parser.parse_args()

    def wanted(small: Shape) -> Shape:
        large = like(small, json.loads(args.like.read_text())) if args.like else small
        names = ("vocab", "hidden", "layers", "heads", "kv_heads", "ffn")
        changes = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        return dataclasses.replace(large, **changes, **({"tied": False} if args.untie else {}))

    try:
        small, large = inflate(args.model, args.out, wanted, args.seed, args.shard_bytes)
    except ValueError as error:
        print(f"inflate: {error}", file=sys.stderr)
        return 1
    for name, shape in (("from", small), ("to", large)):
        print(f"{name} {shape}: {shape.num_weights():,} weights, {shape.multiplies():,} multiplied by each token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
