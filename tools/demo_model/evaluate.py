"""Measures the exported pair on held-out instances and writes the figures of the model card.

python -m tools.demo_model.evaluate --pair models/demo --out figures.json [--show 20]
"""

import argparse
import collections
import json
import math
import pathlib
import random

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from . import data, questions
from .acceptance import Rates, measure
from .corpus import draw
from .export import load
from .generate import generate

SEED = (
    404  # of the held-out questions; training seeds do not matter, since the split is by instance
)


def held_out_examples(count: int, checked: bool, max_tokens: int, tokenizer) -> list:
    """Distinct held-out conversations of one part each."""
    rng, seen, out = random.Random(SEED), set(), []
    while len(out) < count:
        example = draw(rng, "held_out")
        if (
            (checked and example.check is None)
            or example.keys() in seen
            or len(data.encode(tokenizer, example)[0]) > max_tokens
        ):
            continue
        seen.add(example.keys())
        out.append(example)
    return out


def answers(
    model, tokenizer, examples, temperature: float, max_tokens: int, group: int = 32
) -> list[list[int]]:
    """Token ids of the model's answers, in the order of the examples."""
    prompts = [data.encode_prompt(tokenizer, example) for example in examples]
    sizes = [len(tokenizer.encode(example.turns[-1][1]).ids) for example in examples]
    order = sorted(range(len(examples)), key=lambda i: (sizes[i], len(prompts[i])))
    out = [None] * len(examples)
    for begin in range(0, len(order), group):
        part = order[begin : begin + group]
        limit = min(max_tokens, 32 + 2 * max(sizes[i] for i in part))
        for i, answer in zip(
            part, generate(model, [prompts[i] for i in part], limit, temperature, SEED + begin)
        ):
            out[i] = answer
    return out


def text_of(tokenizer, answer: list[int]) -> str:
    return tokenizer.decode([token for token in answer if token != data.END_ID])


@torch.no_grad()
def perplexity(model, tokenizer, rows: int = 48) -> tuple[float, int]:
    """Per answer token of packed held-out rows of 1024; returns (perplexity, tokens)."""
    ids, weights = data.batch(tokenizer, 909, 0, rows * 1024, 1024, "held_out")
    total, count = 0.0, 0
    for row, weight in zip(torch.from_numpy(ids), torch.from_numpy(weights)):
        losses = F.cross_entropy(model(row[None, :-1])[0].float(), row[1:], reduction="none")
        answer = weight[1:] == 1.0
        total, count = total + losses[answer].sum().item(), count + int(answer.sum())
    return math.exp(total / count), count


def score_questions(model, tokenizer, count: int, show: int) -> dict:
    """Share of held-out questions answered right at temperature 0, in all and by family."""
    examples = held_out_examples(count, True, 1000, tokenizer)
    right, asked = collections.Counter(), collections.Counter()
    for example, answer in zip(examples, answers(model, tokenizer, examples, 0.0, 600)):
        text, family = text_of(tokenizer, answer), example.family
        asked[family] += 1
        passed = questions.is_right(example, text)
        right[family] += passed
        if not passed and show > 0:
            show -= 1
            print(
                f"--- {family}\n{example.turns[-2][1]}\n=> {text}\n(reference: {example.turns[-1][1]})"
            )
    families = {family: [right[family], asked[family]] for family in sorted(asked)}
    return {"right": sum(right.values()), "asked": sum(asked.values()), "families": families}


def acceptance(target, draft, tokenizer, count: int, temperature: float) -> tuple[Rates, dict]:
    """Rates over the target's own continuations of held-out prompts, in all and by family."""
    examples = held_out_examples(count, False, 900, tokenizer)
    whole, families = Rates(), collections.defaultdict(Rates)
    for number, (example, answer) in enumerate(
        zip(examples, answers(target, tokenizer, examples, temperature, 500))
    ):
        rates = measure(
            target,
            draft,
            data.encode_prompt(tokenizer, example),
            answer,
            temperature,
            SEED + number,
        )
        whole.add(rates)
        families[example.family].add(rates)
    return whole, families


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", type=pathlib.Path, default=pathlib.Path("models/demo"))
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--show", type=int, default=0, help="wrong answers to print")
    parser.add_argument("--rows", type=int, default=24, help="of 1024 tokens, for the perplexity")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.from_file(str(args.pair / "target/tokenizer.json"))
    target, draft = load(args.pair / "target", "target"), load(args.pair / "draft", "draft")
    figures = {}

    def book(**values) -> None:
        """Adds figures and writes them at once: a slow machine shows what it has."""
        figures.update(values)
        print(json.dumps(values), flush=True)
        if args.out:
            args.out.write_text(json.dumps(figures, indent=1) + "\n")

    for temperature in (0.0, 0.8):
        whole, families = acceptance(target, draft, tokenizer, args.prompts, temperature)
        book(**{f"temperature_{temperature}": rates(whole, families, temperature)})
    for name, model in (("target", target), ("draft", draft)):
        value, tokens = perplexity(model, tokenizer, args.rows)
        book(**{f"perplexity_{name}": round(value, 4), "perplexity_tokens": tokens})
    book(questions=score_questions(target, tokenizer, args.questions, args.show))


def rates(whole: Rates, families: dict, temperature: float) -> dict:
    """Sums turned into shares."""
    if temperature == 0:
        shares = {"greedy": whole.matched, "tokens_per_step_draft_4": whole.tokens**2 / whole.runs}
        by_family = {k: [round(r.matched / r.tokens, 3), r.tokens] for k, r in families.items()}
    else:
        shares = {"rejection": whole.overlap, "coupled": whole.coupled}
        by_family = {k: [round(r.coupled / r.tokens, 3), r.tokens] for k, r in families.items()}
    out = {name: round(value / whole.tokens, 4) for name, value in shares.items()}
    return {**out, "tokens": whole.tokens, "families": dict(sorted(by_family.items()))}


if __name__ == "__main__":
    main()
