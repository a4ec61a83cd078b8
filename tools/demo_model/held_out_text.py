"""Writes held-out conversations as one text for `runahead eval`: special tokens are spelled out, as the chat template does.

python -m tools.demo_model.held_out_text --out bench/text/demo_held_out.txt
"""

import argparse
import pathlib

from .corpus import Example, conversations

SEED = 505
MAX_BYTES = 48 << 10


def text_of(example: Example) -> str:
    """What data.encode makes ids of."""
    turns = [f"<|{role}|>{text}" if role != "text" else text for role, text in example.turns]
    return "<|bos|>" + "".join(f"{turn}<|end|>" for turn in turns)


def held_out_text(max_bytes: int = MAX_BYTES) -> str:
    """As many whole conversations as fit, one after the other without anything between them."""
    out, size = [], 0
    for example in conversations(SEED, "held_out"):
        text = text_of(example)
        size += len(text.encode())
        if size > max_bytes:
            return "".join(out)
        out.append(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(held_out_text())


if __name__ == "__main__":
    main()
