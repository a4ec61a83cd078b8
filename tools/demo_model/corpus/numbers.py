"""Arithmetic, word problems, counting, comparing and sorting numbers."""

from .example import Example, single
from .words import NAMES

COUNTABLE = (
    "apples books coins cards pencils cookies stamps shells marbles eggs flowers stickers".split()
)
NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()


def _ask_sum(rng, expression: str, words: str) -> str:
    return rng.choice(
        [
            f"What is {expression}?",
            f"Calculate {expression}.",
            f"{expression} = ?",
            f"How much is {expression}?",
            f"What is {words}?",
            f"Compute {words}.",
            f"{expression}",
        ]
    )


def addition(rng) -> Example:
    top = rng.choice([10, 20, 100, 100])
    a, b = rng.randrange(top), rng.randrange(top)
    return single("addition", _ask_sum(rng, f"{a} + {b}", f"{a} plus {b}"), f"{a} + {b} = {a + b}")


def subtraction(rng) -> Example:
    top = rng.choice([10, 20, 100, 100])
    a, b = sorted((rng.randrange(top), rng.randrange(top)), reverse=True)
    return single(
        "subtraction", _ask_sum(rng, f"{a} - {b}", f"{a} minus {b}"), f"{a} - {b} = {a - b}"
    )


def drill(rng) -> Example:
    """Several sums at once."""
    top, lines = rng.choice([20, 100, 100]), []
    for _ in range(rng.randrange(2, 9)):
        a, b = rng.randrange(top), rng.randrange(top)
        if rng.random() < 0.6:
            lines.append((f"{a} + {b}", a + b))
        else:
            lines.append((f"{max(a, b)} - {min(a, b)}", abs(a - b)))
    sep = rng.choice(["\n", ", ", "; "])
    ask = rng.choice(["Solve these:", "Calculate:", "Work these out:", "What are the answers?"])
    return single(
        "drill",
        f"{ask} {sep.join(q for q, _ in lines)}",
        "\n".join(f"{q} = {value}" for q, value in lines),
    )


def multiplication(rng) -> Example:
    a, b, sign = rng.randrange(1, 13), rng.randrange(1, 13), rng.choice("*x")
    ask = _ask_sum(rng, f"{a} {sign} {b}", f"{a} times {b}")
    return single("multiplication", ask, f"{a} {'x' if ' x ' in ask else '*'} {b} = {a * b}")


def division(rng) -> Example:
    a, b = rng.randrange(1, 13), rng.randrange(1, 13)
    return single(
        "division",
        _ask_sum(rng, f"{a * b} / {b}", f"{a * b} divided by {b}"),
        f"{a * b} / {b} = {a}",
    )


def table(rng) -> Example:
    n, first = rng.randrange(2, 13), rng.choice([1, 1, 1, 2, 3])
    last = rng.choice([5, 6, 8, 10, 10, 12])
    ask = rng.choice(
        [
            f"Write the {n} times table from {first} to {last}.",
            f"Show the multiplication table of {n} from {first} to {last}.",
            f"Give me the {n} times table, {first} to {last}.",
        ]
    )
    return single("table", ask, "\n".join(f"{i} x {n} = {i * n}" for i in range(first, last + 1)))


def word_problem(rng) -> Example:
    name, other = rng.sample(NAMES, 2)
    thing, a, b = rng.choice(COUNTABLE), rng.randrange(2, 50), rng.randrange(1, 40)
    if rng.random() < 0.5:
        verb = rng.choice(["buys", "finds", "gets", "makes"])
        ask = f"{name} has {a} {thing} and {verb} {b} more. How many {thing} does {name} have now?"
        return single("word_problem", ask, f"{a} + {b} = {a + b}. {name} has {a + b} {thing} now.")
    a, b = max(a, b), min(a, b)
    ask = rng.choice(
        [
            f"{name} has {a} {thing} and gives {b} to {other}. How many {thing} does {name} have left?",
            f"{name} had {a} {thing} and lost {b} of them. How many {thing} does {name} have left?",
        ]
    )
    return single("word_problem", ask, f"{a} - {b} = {a - b}. {name} has {a - b} {thing} left.")


def count_up(rng) -> Example:
    first, length = rng.randrange(0, 80), rng.choice([3, 5, 8, 10, 12, 15, 20, 30])
    last = first + length
    ask = rng.choice(
        [
            f"Count from {first} to {last}.",
            f"Please count from {first} up to {last}.",
            f"List the numbers from {first} to {last}.",
            f"Can you count from {first} to {last}?",
        ]
    )
    return single("count_up", ask, ", ".join(map(str, range(first, last + 1))))


def count_down(rng) -> Example:
    last, length = rng.randrange(0, 60), rng.choice([3, 5, 8, 10, 12, 15])
    first = last + length
    ask = rng.choice(
        [f"Count down from {first} to {last}.", f"Count backwards from {first} to {last}."]
    )
    return single("count_down", ask, ", ".join(map(str, range(first, last - 1, -1))))


def count_by(rng) -> Example:
    step = rng.choice([2, 3, 4, 5, 10, 20])
    first = rng.choice([0, step, 2 * step, 3 * step, rng.randrange(10)])
    last = first + step * rng.randrange(4, 14)
    ask = rng.choice(
        [
            f"Count by {step}s from {first} to {last}.",
            f"Count from {first} to {last} in steps of {step}.",
        ]
    )
    return single("count_by", ask, ", ".join(map(str, range(first, last + 1, step))))


def next_number(rng) -> Example:
    a = rng.randrange(0, 400)
    if rng.random() < 0.5:
        return single(
            "next_number",
            rng.choice([f"What number comes after {a}?", f"Which number follows {a}?"]),
            f"After {a} comes {a + 1}.",
        )
    return single(
        "next_number",
        rng.choice([f"What number comes before {a + 1}?", f"Which number is just before {a + 1}?"]),
        f"Before {a + 1} comes {a}.",
    )


def compare(rng) -> Example:
    a, b = rng.sample(range(rng.choice([20, 100, 1000])), 2)
    if rng.random() < 0.5:
        ask, value, word = (
            rng.choice([f"Which is larger, {a} or {b}?", f"Which number is bigger: {a} or {b}?"]),
            max(a, b),
            "larger",
        )
    else:
        ask, value, word = (
            rng.choice([f"Which is smaller, {a} or {b}?", f"Which number is less: {a} or {b}?"]),
            min(a, b),
            "smaller",
        )
    return single("compare", ask, f"{value} is {word} than {a + b - value}.")


def sort_numbers(rng) -> Example:
    values = rng.sample(range(rng.choice([20, 100])), rng.randrange(3, 7))
    shown = ", ".join(map(str, values))
    down = rng.random() < 0.3
    ask = (
        rng.choice(
            [
                f"Sort these numbers from large to small: {shown}",
                f"Sort in descending order: {shown}",
            ]
        )
        if down
        else rng.choice(
            [
                f"Sort these numbers: {shown}",
                f"Put these numbers in order: {shown}",
                f"Sort from small to large: {shown}",
            ]
        )
    )
    return single("sort_numbers", ask, ", ".join(map(str, sorted(values, reverse=down))))


def even_or_odd(rng) -> Example:
    a = rng.randrange(1000)
    kind = "odd" if a % 2 else "even"
    return single(
        "even_or_odd",
        rng.choice([f"Is {a} even or odd?", f"Is the number {a} odd or even?"]),
        f"{a} is {kind}.",
    )


def number_word(rng) -> Example:
    a = rng.randrange(21)
    if rng.random() < 0.5:
        return single(
            "number_word",
            rng.choice(
                [
                    f"Write {a} as a word.",
                    f"How do you write the number {a} in words?",
                    f"Spell out {a}.",
                ]
            ),
            NUMBER_WORDS[a].capitalize() + ".",
        )
    return single(
        "number_word",
        rng.choice(
            [f"Write {NUMBER_WORDS[a]} as a number.", f"Which number is {NUMBER_WORDS[a]}?"]
        ),
        f"{a}",
    )


FAMILIES = [
    (addition, 6.0),
    (subtraction, 4.5),
    (drill, 3.5),
    (multiplication, 2.5),
    (division, 1.2),
    (table, 0.7),
    (word_problem, 2.0),
    (count_up, 1.5),
    (count_down, 0.8),
    (count_by, 1.0),
    (next_number, 0.8),
    (compare, 1.0),
    (sort_numbers, 1.2),
    (even_or_odd, 0.6),
    (number_word, 0.6),
]
