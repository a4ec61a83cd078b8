"""Letters and words: spelling, first and last letters, lengths, reversing, sorting, plurals, past tense, opposites."""

from .example import Example, single
from .words import OPPOSITES, PAST_TENSE, PLURALS, SPELLING_WORDS


def spell(rng) -> Example:
    word = rng.choice(SPELLING_WORDS)
    ask = rng.choice(
        [
            f"Spell {word}.",
            f"How do you spell {word}?",
            f'Spell the word "{word}".',
            f"Can you spell {word}?",
            f"Please spell {word} letter by letter.",
        ]
    )
    return single("spell", ask, "-".join(word))


def count_letters(rng) -> Example:
    word = rng.choice(SPELLING_WORDS)
    ask = rng.choice(
        [
            f"How many letters are in {word}?",
            f'How many letters does the word "{word}" have?',
            f"Count the letters in {word}.",
        ]
    )
    return single("count_letters", ask, f"{'-'.join(word)}: {len(word)} letters.")


def edge_letter(rng) -> Example:
    word, end = rng.choice(SPELLING_WORDS), rng.choice(["first", "last"])
    letter = word[0] if end == "first" else word[-1]
    ask = rng.choice(
        [
            f"What is the {end} letter of {word}?",
            f'Which letter is {end} in "{word}"?',
            f"Give me the {end} letter of the word {word}.",
        ]
    )
    return single("edge_letter", ask, f"The {end} letter of {word} is {letter}.")


def reverse_word(rng) -> Example:
    word = rng.choice(SPELLING_WORDS)
    ask = rng.choice(
        [f"Spell {word} backwards.", f"Reverse the word {word}.", f"Write {word} backwards."]
    )
    return single("reverse_word", ask, f"{'-'.join(word)} backwards is {'-'.join(reversed(word))}.")


def unspell(rng) -> Example:
    word = rng.choice(SPELLING_WORDS)
    ask = rng.choice(
        [
            f"Which word is {'-'.join(word)}?",
            f"Join the letters: {'-'.join(word)}",
            f"What word do these letters make: {'-'.join(word)}?",
        ]
    )
    return single("unspell", ask, word)


def sort_words(rng) -> Example:
    words = rng.sample(SPELLING_WORDS, rng.randrange(3, 6))
    ask = rng.choice(
        [
            f"Sort these words: {', '.join(words)}",
            f"Put these words in alphabetical order: {', '.join(words)}",
        ]
    )
    return single("sort_words", ask, ", ".join(sorted(words)))


def opposite(rng) -> Example:
    word, other = rng.choice(sorted(OPPOSITES.items()))
    if rng.random() < 0.3 and OPPOSITES.get(other, word) == word:
        word, other = other, word
    if rng.random() < 0.15:
        pairs = rng.sample(sorted(OPPOSITES.items()), rng.randrange(2, 5))
        ask = f"Give the opposites of {', '.join(a for a, _ in pairs)}."
        return single("opposite", ask, "\n".join(f"{a}: {OPPOSITES[a]}" for a, _ in pairs))
    ask = rng.choice(
        [
            f"What is the opposite of {word}?",
            f"Give me the opposite of {word}.",
            f"Opposite of {word}?",
            f'What is the opposite of the word "{word}"?',
            f"Name the opposite of {word}.",
        ]
    )
    return single(
        "opposite", ask, f"The opposite of {word} is {other}.", {"kind": "contains", "value": other}
    )


def past(rng) -> Example:
    word, other = rng.choice(sorted(PAST_TENSE.items()))
    ask = rng.choice(
        [
            f"What is the past tense of {word}?",
            f"Past tense of {word}?",
            f"Put the verb {word} in the past tense.",
            f'What is the past tense of "{word}"?',
        ]
    )
    return single("past", ask, f"The past tense of {word} is {other}.")


def plural(rng) -> Example:
    word, other = rng.choice(sorted(PLURALS.items()))
    if rng.random() < 0.25:
        return single(
            "plural",
            rng.choice([f"What is the singular of {other}?", f"Singular of {other}?"]),
            f"The singular of {other} is {word}.",
        )
    ask = rng.choice(
        [
            f"What is the plural of {word}?",
            f"Plural of {word}?",
            f"One {word}, two what?",
            f'What is the plural of "{word}"?',
        ]
    )
    return single("plural", ask, f"The plural of {word} is {other}.")


FAMILIES = [
    (spell, 2.0),
    (count_letters, 1.2),
    (edge_letter, 1.0),
    (reverse_word, 1.0),
    (unspell, 0.6),
    (sort_words, 0.8),
    (opposite, 2.0),
    (past, 1.0),
    (plural, 1.0),
]
