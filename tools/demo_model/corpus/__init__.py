"""The corpus: every family, their shares, and a seeded stream of conversations of one split."""

import random
from collections.abc import Iterator

from . import copying, facts, json_answers, lists, longform, numbers, spelling, stories, talk
from .example import Example, is_held_out, split_of

# Share of conversations each group starts with; inside a group the weights stand beside the families.
GROUPS = [
    (talk, 11.0),
    (numbers, 26.0),
    (spelling, 11.0),
    (facts, 12.0),
    (lists, 7.0),
    (stories, 9.0),
    (copying, 17.0),
    (json_answers, 8.0),
    (longform, 9.0),
]
JOINED_SHARE = 0.25  # conversations that go on with another, unrelated question
PLAIN_SHARE = 0.02  # bare stories, for completions without a chat template
MAKERS = [maker for group, _ in GROUPS for maker, _ in group.FAMILIES]
WEIGHTS = [
    share * weight / sum(w for _, w in group.FAMILIES)
    for group, share in GROUPS
    for _, weight in group.FAMILIES
]
_CUMULATIVE = [sum(WEIGHTS[: i + 1]) for i in range(len(WEIGHTS))]


def draw(rng: random.Random, split: str) -> Example:
    """One conversation all of whose instances lie in the split ("train" or "held_out")."""
    while True:
        example = rng.choices(MAKERS, cum_weights=_CUMULATIVE)[0](rng)
        if split_of(example) == split:
            return example


def join(first: Example, second: Example) -> Example:
    """Two conversations in a row; the second brings no system turn."""
    closed = first.closed and second.closed
    return Example(
        first.family, first.turns + second.turns, second.check, closed, first.keys() + second.keys()
    )


def conversations(seed: int, split: str) -> Iterator[Example]:
    """An endless stream, the same for the same seed and split."""
    rng = random.Random(f"{seed}/{split}")
    while True:
        if rng.random() < PLAIN_SHARE:
            text = stories.plain_text(rng)
            example = Example("plain_text", (("text", text),), None)
            if split_of(example) == split:
                yield example
            continue
        example = draw(rng, split)
        while rng.random() < JOINED_SHARE and len(example.turns) < 9:
            other = draw(rng, split)
            if other.turns[0][0] != "system":
                example = join(example, other)
        yield example


__all__ = ["Example", "conversations", "draw", "is_held_out", "split_of"]
