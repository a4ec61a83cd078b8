"""Copying and editing given text, from one line to some three hundred tokens with a few changes."""

from .example import Example, single
from .longform import CODE, EXPLANATIONS, code_text
from .stories import draw_cast, plain_text
from .words import (
    ADJECTIVES,
    ANIMALS,
    CAPITALS,
    COLORS,
    FRUITS,
    JOBS,
    NAMES,
    OBJECTS,
    PLACES,
    SPELLING_WORDS,
    SYLLABLES,
)

VERBS = "found lost painted carried opened moved washed sold bought fixed hid watched".split()
PREPOSITIONS = ["near the", "behind the", "in the", "under the", "next to the"]


def invented(rng) -> str:
    """A word that no list has, so copying cannot lean on meaning."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randrange(2, 4)))


def sentence(rng) -> str:
    name, city = rng.choice(NAMES), rng.choice(sorted(CAPITALS.values()))
    return rng.choice(
        [
            lambda: f"{name} {rng.choice(VERBS)} the {rng.choice(COLORS)} {rng.choice(OBJECTS)} {rng.choice(PREPOSITIONS)} {rng.choice(PLACES)}.",
            lambda: f"The {rng.choice(ADJECTIVES)} {rng.choice(ANIMALS)} {rng.choice(VERBS)} a {rng.choice(OBJECTS)}.",
            lambda: f"On {rng.randrange(1, 29)} May {name} travels to {city} with {rng.randrange(2, 90)} {rng.choice(FRUITS)}s.",
            lambda: f"The {rng.choice(JOBS)} in room {rng.randrange(1, 400)} asked for {name}.",
            lambda: f"Please send the {rng.choice(OBJECTS)} to {city} before {rng.randrange(1, 13)} o'clock.",
            lambda: f"{name} said: \"{rng.choice(['I am', 'We are', 'They were'])} {rng.choice(ADJECTIVES)}.\"",
        ]
    )()


def code_line(rng) -> str:
    x, y = rng.sample(
        [
            "count",
            "total",
            "index",
            "value",
            "size",
            "name",
            "result",
            "limit",
            "x",
            "y",
            "items",
            "width",
        ],
        2,
    )
    return rng.choice(
        [
            f"{x} = {rng.randrange(1000)}",
            f"{x} = {y} + {rng.randrange(10)}",
            f"print({x})",
            f"if {x} > {y}:\n    {x} = {y}",
            f"for {x} in {y}:\n    print({x})",
            f"{x}.append({y})",
            f"return {x}",
        ]
    )


def record(rng) -> str:
    return rng.choice(
        [
            f"{rng.choice(NAMES)},{rng.randrange(100)},{rng.choice(sorted(CAPITALS.values()))}",
            f"id={rng.randrange(10000)} name={invented(rng)} state={rng.choice(['ok', 'late', 'new', 'done'])}",
            f"{rng.randrange(24):02d}:{rng.randrange(60):02d} {invented(rng)} {rng.choice(VERBS)} {rng.randrange(1000)}",
        ]
    )


def body(rng, num_lines: int) -> tuple[list[str], str]:
    """Lines of one kind and the separator that joins them."""
    kind = rng.choice(
        [
            "sentences",
            "sentences",
            "prose",
            "prose",
            "code",
            "records",
            "words",
            "invented",
            "story",
            "mixed",
        ]
    )
    if kind == "story":
        text = plain_text(rng).replace("\n\n", " ")
        return text.split(". "), ". "
    makers = {
        "sentences": sentence,
        "prose": sentence,
        "code": code_line,
        "records": record,
        "words": lambda r: " ".join(r.choice(SPELLING_WORDS) for _ in range(r.randrange(2, 9))),
        "invented": lambda r: " ".join(invented(r) for _ in range(r.randrange(2, 8))),
        "mixed": lambda r: r.choice([sentence, record, code_line])(r),
    }
    return [makers[kind](rng) for _ in range(num_lines)], " " if kind == "prose" else "\n"


def text_of(rng) -> tuple[list[str], str, str]:
    """Lines, separator and the whole text; lengths from one line to about three hundred tokens."""
    lines, sep = body(rng, rng.choice([1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20]))
    return lines, sep, sep.join(lines)


def copy(rng) -> Example:
    _, _, text = text_of(rng)
    ask = rng.choice(
        [
            "Repeat the following text exactly:",
            "Copy this text:",
            "Repeat after me:",
            "Write this again without changes:",
            "Copy the text below word for word:",
        ]
    )
    return single("copy", f"{ask}\n{text}", text)


def replace(rng) -> Example:
    """Replaces one word everywhere."""
    _, _, text = text_of(rng)
    pool = [
        word
        for word in text.replace("\n", " ")
        .replace('"', " ")
        .replace(",", " ")
        .replace(".", " ")
        .split()
        if word.isalpha() and len(word) > 2
    ]
    old = rng.choice(pool) if pool else text
    if old in NAMES:
        new = rng.choice([n for n in NAMES if n != old])
    else:
        new = rng.choice(
            [invented(rng), rng.choice(OBJECTS), rng.choice(COLORS), rng.choice(SPELLING_WORDS)]
        )
    changed = _swap_word(text, old, new)
    ask = rng.choice(
        [
            f"Replace {old} by {new} in this text:",
            f"Replace the word {old} with {new}:",
            f"Change {old} to {new} in the text below:",
            f"Rename {old} to {new} everywhere:",
        ]
    )
    return single("replace", f"{ask}\n{text}", changed)


def _swap_word(text: str, old: str, new: str) -> str:
    """Replaces whole words only."""
    out, word = [], ""
    for char in text + "\0":
        if char.isalnum() or char == "_":
            word += char
        else:
            out.append(new if word == old else word)
            out.append(char)
            word = ""
    return "".join(out)[:-1]


def change_case(rng) -> Example:
    words = " ".join(rng.choice(SPELLING_WORDS + NAMES) for _ in range(rng.randrange(1, 7)))
    text = rng.choice([words, sentence(rng)])
    if rng.random() < 0.6:
        ask = rng.choice(
            ["Write this in upper case:", "Make this upper case:", "Write in capital letters:"]
        )
        return single("change_case", f"{ask} {text}", text.upper())
    ask = rng.choice(["Write this in lower case:", "Make this lower case:"])
    return single("change_case", f"{ask} {text.upper()}", text.lower())


def lines_edit(rng) -> Example:
    """Edits of whole lines: number them, bullet them, remove, add, change the first or last."""
    lines, sep = body(rng, rng.choice([2, 3, 3, 4, 5, 6, 8, 10, 14]))
    lines = [line.replace("\n", " ").replace("    ", "") for line in lines]
    text, n = "\n".join(lines), rng.randrange(len(lines))
    extra = sentence(rng)
    ordinal = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
    options = [
        (
            rng.choice(["Number these lines:", "Put a number before each line:"]),
            [f"{i}. {x}" for i, x in enumerate(lines, 1)],
        ),
        (
            rng.choice(["Make a bullet list of these lines:", "Put a dash before each line:"]),
            [f"- {x}" for x in lines],
        ),
        (rng.choice(["Remove the last line:", "Delete the last line of this text:"]), lines[:-1]),
        (rng.choice(["Remove the first line:", "Delete the first line of this text:"]), lines[1:]),
        (f"Add this line at the end: {extra}\nText:", lines + [extra]),
        (f"Add this line at the start: {extra}\nText:", [extra] + lines),
        (f"Replace the last line with: {extra}\nText:", lines[:-1] + [extra]),
        (f"Replace the first line with: {extra}\nText:", [extra] + lines[1:]),
    ]
    if n < 5 and len(lines) > 2:
        options.append(
            (
                f"Replace the {ordinal[n]} line with: {extra}\nText:",
                lines[:n] + [extra] + lines[n + 1 :],
            )
        )
    ask, out = rng.choice(options)
    if not out:
        out = lines
        ask = "Copy this text:"
    return single("lines_edit", f"{ask}\n{text}", "\n".join(out))


def fix(rng) -> Example:
    """Puts misspelled words right; the mistakes are of four known kinds."""
    lines, sep, text = text_of(rng)
    wrong = {
        "the": "teh",
        "and": "adn",
        "with": "wiht",
        "said": "siad",
        "found": "fuond",
        "asked": "aksed",
        "was": "wsa",
        "before": "befor",
    }
    broken, count = [], 0
    for word in text.split(" "):
        if word in wrong and rng.random() < 0.6 and count < 4:
            broken.append(wrong[word])
            count += 1
        else:
            broken.append(word)
    ask = rng.choice(
        ["Fix the spelling mistakes:", "Correct the typos in this text:", "Fix the typos:"]
    )
    return single("fix", f"{ask}\n{' '.join(broken)}", text)


def rename_variable(rng) -> Example:
    if rng.random() < 0.5:
        task = rng.choice(sorted(CODE))
        text, old = code_text(CODE[task][0], task), CODE[task][0]
        new = rng.choice([invented(rng), "my_" + old, "run", "helper"])
    else:
        text = "\n".join(code_line(rng) for _ in range(rng.randrange(3, 14)))
        pool = [
            w
            for w in [
                "count",
                "total",
                "index",
                "value",
                "size",
                "name",
                "result",
                "limit",
                "items",
                "width",
            ]
            if w in text
        ] or ["count"]
        old, new = rng.choice(pool), rng.choice(
            ["first", "last", "number", "amount", "data", invented(rng)]
        )
    ask = rng.choice(
        [f"Rename {old} to {new} in this code:", f"In this code, rename {old} to {new}:"]
    )
    return single(
        "rename_variable",
        f"{ask}\n```python\n{text}\n```",
        f"```python\n{_swap_word(text, old, new)}\n```",
    )


def change_story(rng) -> Example:
    """A whole story again with another name: some two hundred tokens copied, a few changed."""
    c, text = draw_cast(rng), plain_text(rng)
    name = next(
        (
            w
            for w in text.replace(".", " ").replace("'", " ").split()
            if w[0].isupper() and text.count(w) > 2 and w not in ("The", "They", "One", "Then")
        ),
        None,
    )
    if name is None:
        return copy(rng)
    ask = rng.choice(
        [
            f"Tell this story again, but call {name} {c.name} instead:",
            f"Rewrite the story with the name {c.name} instead of {name}:",
        ]
    )
    return single("change_story", f"{ask}\n{text}", _swap_word(text, name, c.name))


def quote(rng) -> Example:
    """One piece picked out of a text."""
    lines, _ = body(rng, rng.choice([3, 4, 5, 6, 8]))
    lines = [line.replace("\n", " ") for line in lines]
    n = rng.choice([0, len(lines) - 1, rng.randrange(len(lines))])
    place = (
        "first"
        if n == 0
        else (
            "last"
            if n == len(lines) - 1
            else [
                "first",
                "second",
                "third",
                "fourth",
                "fifth",
                "sixth",
                "seventh",
                "eighth",
                "ninth",
                "tenth",
                "eleventh",
                "twelfth",
            ][min(n, 11)]
        )
    )
    ask = rng.choice([f"Give me the {place} line of this text:", f"What is the {place} line?"])
    return single("quote", ask + "\n" + "\n".join(lines), lines[n])


def explanation_copy(rng) -> Example:
    topics = rng.sample(sorted(EXPLANATIONS), rng.randrange(1, 5))
    text = "\n".join(EXPLANATIONS[t] for t in topics)
    return single(
        "explanation_copy",
        f"{rng.choice(['Repeat the following text exactly:', 'Copy this text:'])}\n{text}",
        text,
    )


FAMILIES = [
    (copy, 3.5),
    (replace, 3.5),
    (change_case, 1.5),
    (lines_edit, 2.0),
    (fix, 1.5),
    (rename_variable, 1.2),
    (change_story, 1.0),
    (quote, 0.8),
    (explanation_copy, 0.3),
]
