"""Lets the target answer training prompts, so that the draft learns on the text it will meet.

python -m tools.demo_model.on_policy --target RUNDIR/weights.pt --tokenizer DIR/tokenizer.json --out own.npz --minutes 6
"""

import argparse
import pathlib
import time

import numpy as np
import torch
from tokenizers import Tokenizer

from . import data
from .corpus import conversations
from .generate import generate
from .model import SHAPES, Llama
from .train import part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument(
        "--group",
        type=int,
        default=64,
        help="conversations generated at once, of similar prompt length",
    )
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    target = Llama(SHAPES["target"]).to(device).eval()
    target.load_state_dict(part(args.target, "target"))
    stream = conversations(args.seed, "train")
    ids, weights, starts = [], [], [0]
    end = time.monotonic() + 60 * args.minutes
    while time.monotonic() < end:
        pool = []
        while len(pool) < args.group * 8:
            example = next(stream)
            if example.family != "plain_text" and len(data.encode(tokenizer, example)[0]) < 700:
                pool.append((example, len(tokenizer.encode(example.turns[-1][1]).ids)))
        pool.sort(key=lambda pair: pair[1])  # answers of like length together: few rows idle
        for number, begin in enumerate(range(0, len(pool), args.group)):
            group = pool[begin : begin + args.group]
            prompts = [data.encode_prompt(tokenizer, example) for example, _ in group]
            temperature = (0.0, 0.8, 1.0)[(len(starts) + number) % 3]
            answers = generate(
                target, prompts, 20 + int(1.5 * group[-1][1]), temperature, len(starts)
            )
            for prompt, answer in zip(prompts, answers):
                ids += prompt + answer
                weights += [data.PROMPT_WEIGHT] * len(prompt) + [1.0] * len(answer)
                starts.append(len(ids))
            if time.monotonic() > end:
                break
    np.savez(
        args.out,
        ids=np.array(ids, np.uint16),
        weights=np.array(weights, np.float32),
        starts=np.array(starts),
    )
    print(f"{len(starts) - 1} conversations, {len(ids)} tokens")


if __name__ == "__main__":
    main()
