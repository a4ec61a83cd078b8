"""The corpus: every family, their shares, and a seeded stream of conversations of one split."""

import itertools
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
# What is learned slowly comes more often in training, what is known early less; held-out text keeps the plain shares.
EMPHASIS = {
    "change_case": 3.0,
    "replace": 2.0,
    "lines_edit": 1.5,
    "spell": 2.0,
    "count_letters": 1.5,
    "edge_letter": 1.5,
    "reverse_word": 1.5,
    "sort_words": 1.5,
    "sort_numbers": 1.5,
    "name_some": 2.0,
    "odd_one_out": 2.0,
    "count_up": 2.0,
    "count_down": 2.0,
    "count_by": 1.5,
    "story": 0.6,
    "day_plan": 0.5,
    "explain": 0.5,
    "person": 0.5,
    "array": 1.5,
    "legs": 0.5,
    "continent": 0.5,
    "favorite": 0.5,
    "name_recall": 0.5,
    "persona": 0.5,
    "even_or_odd": 0.5,
}
_CUMULATIVE = {
    "held_out": list(itertools.accumulate(WEIGHTS)),
    "train": list(
        itertools.accumulate(w * EMPHASIS.get(m.__name__, 1.0) for m, w in zip(MAKERS, WEIGHTS))
    ),
}


def draw(rng: random.Random, split: str) -> Example:
    """One conversation all of whose instances lie in the split ("train" or "held_out")."""
    while True:
        example = rng.choices(MAKERS, cum_weights=_CUMULATIVE[split])[0](rng)
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
