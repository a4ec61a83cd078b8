"""Judges answers to held-out questions by each example's own check."""

import json

from .corpus import Example
from .corpus.words import CATEGORIES


def list_items(text: str) -> list[str]:
    """Items of a numbered, bulleted, comma-separated or plain list."""
    pieces = text.split("\n") if "\n" in text else text.split(", ")
    return [piece.strip().lstrip("0123456789.- ").strip() for piece in pieces]


def is_right(example: Example, answer: str) -> bool:
    """Whether the answer to the last user turn passes; the example must carry a check."""
    check, answer = example.check, answer.strip()
    if check["kind"] == "exact":
        return answer == example.turns[-1][1].strip()
    if check["kind"] == "contains":
        return check["value"] in answer
    if check["kind"] == "words":
        return all(word in answer for word in check["value"])
    if check["kind"] == "list":
        items = list_items(answer)
        members = set(CATEGORIES[check["category"]])
        return len(items) == check["count"] == len(set(items)) and set(items) <= members
    if check["kind"] == "json":
        try:
            return json.loads(answer) == check["value"]
        except json.JSONDecodeError:
            return False
    raise ValueError(f"unknown check {check['kind']}")
