"""Answers as JSON: extraction from a sentence, lists to arrays, questions with JSON answers, and edits of an object."""

import json

from .example import Example, single
from .words import CAPITALS, CATEGORIES, COLORS, JOBS, NAMES, OBJECTS

CITIES = sorted(CAPITALS.values())


def _answer(rng, value) -> tuple[str, str]:
    """A layout request (may be empty) and the JSON text."""
    if rng.random() < 0.3:
        return " Indent it.", json.dumps(value, ensure_ascii=False, indent=2)
    return "", json.dumps(value, ensure_ascii=False)


def person(rng) -> Example:
    name, age, city, job = (
        rng.choice(NAMES),
        rng.randrange(18, 90),
        rng.choice(CITIES),
        rng.choice(JOBS),
    )
    sentence, value = rng.choice(
        [
            (
                f"{name} is {age} years old and lives in {city}.",
                {"name": name, "age": age, "city": city},
            ),
            (f"{name} is a {job} from {city}.", {"name": name, "job": job, "city": city}),
            (
                f"{name}, {age}, works as a {job} in {city}.",
                {"name": name, "age": age, "job": job, "city": city},
            ),
            (f"My name is {name} and I am {age} years old.", {"name": name, "age": age}),
        ]
    )
    tail, text = _answer(rng, value)
    keys = ", ".join(value)
    ask = rng.choice(
        [
            f"Give me a JSON object with {keys}: {sentence}",
            f"Turn this into JSON with the keys {keys}: {sentence}",
            f"Extract {keys} as JSON. {sentence}",
        ]
    )
    return single("json_person", ask + tail, text, {"kind": "json", "value": value})


def item(rng) -> Example:
    thing, color, price, count = (
        rng.choice(OBJECTS),
        rng.choice(COLORS),
        rng.randrange(1, 100),
        rng.randrange(2, 30),
    )
    value = {"item": thing, "color": color, "price": price, "count": count}
    sentence = f"We have {count} {color} {thing} pieces at {price} dollars each."
    tail, text = _answer(rng, value)
    ask = rng.choice(
        [
            f"Answer as JSON with the keys item, color, price, count: {sentence}",
            f"Turn this into JSON with the keys item, color, price, count: {sentence}",
        ]
    )
    return single("json_item", ask + tail, text, {"kind": "json", "value": value})


def array(rng) -> Example:
    words = rng.sample(CATEGORIES[rng.choice(sorted(CATEGORIES))], rng.randrange(2, 7))
    ask = rng.choice(
        [
            f"Turn this list into a JSON array: {', '.join(words)}",
            f"Write as a JSON array: {', '.join(words)}",
            f"Make a JSON array of these words: {' '.join(words)}",
        ]
    )
    tail, text = _answer(rng, words)
    return single(
        "json_array", ask + ("." + tail if tail else ""), text, {"kind": "json", "value": words}
    )


def question(rng) -> Example:
    country = rng.choice(sorted(CAPITALS))
    value = {"country": country, "capital": CAPITALS[country]}
    ask = rng.choice(
        [
            f"What is the capital of {country}? Answer as JSON with the keys country and capital.",
            f"Give the capital of {country} as JSON with country and capital.",
        ]
    )
    tail, text = _answer(rng, value)
    return single("json_question", ask + tail, text, {"kind": "json", "value": value})


def arithmetic(rng) -> Example:
    a, b = rng.randrange(100), rng.randrange(100)
    value = {"a": a, "b": b, "sum": a + b}
    ask = rng.choice(
        [
            f"Add {a} and {b}. Answer as JSON with the keys a, b, sum.",
            f"What is {a} + {b}? Answer as JSON with the keys a, b, sum.",
        ]
    )
    tail, text = _answer(rng, value)
    return single("json_sum", ask + tail, text, {"kind": "json", "value": value})


def edit(rng) -> Example:
    value = {
        "name": rng.choice(NAMES),
        "age": rng.randrange(18, 90),
        "city": rng.choice(CITIES),
        "job": rng.choice(JOBS),
    }
    for key in rng.sample(["age", "city", "job"], rng.randrange(0, 2)):
        del value[key]
    key = rng.choice(sorted(value))
    new = {
        "name": rng.choice(NAMES),
        "age": rng.randrange(18, 90),
        "city": rng.choice(CITIES),
        "job": rng.choice(JOBS),
    }[key]
    ask = rng.choice(
        [
            f"Set {key} to {new} in this JSON:",
            f"Change {key} to {new}:",
            f"In this object, replace the {key} with {new}.",
        ]
    )
    changed = {k: (new if k == key else v) for k, v in value.items()}
    return single(
        "json_edit",
        f"{ask}\n{json.dumps(value, ensure_ascii=False)}",
        json.dumps(changed, ensure_ascii=False),
        {"kind": "json", "value": changed},
    )


def records(rng) -> Example:
    """A long array of objects: every few tokens are predictable, as structured output is."""
    rows = [
        {"id": i, "name": rng.choice(NAMES), "age": rng.randrange(18, 90)}
        for i in range(1, rng.randrange(3, 9))
    ]
    shown = "\n".join(f"{row['name']}, {row['age']}" for row in rows)
    ask = rng.choice(
        [
            "Turn these lines into a JSON array of objects with id, name and age:",
            "Convert to JSON with the keys id, name and age:",
        ]
    )
    body = "[\n" + ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"
    return single("json_records", f"{ask}\n{shown}", body, {"kind": "json", "value": rows})


FAMILIES = [
    (person, 2.5),
    (item, 1.0),
    (array, 1.2),
    (question, 1.0),
    (arithmetic, 0.7),
    (edit, 1.5),
    (records, 1.2),
]
