"""One conversation of the corpus, its instance keys, and the split that keeps training and held-out instances apart."""

import dataclasses
import hashlib
import json
from typing import Any

HELD_OUT_SHARE = 16  # one template instance in so many is held out


@dataclasses.dataclass(frozen=True)
class Example:
    """A conversation: (role, text) turns, roles "system", "user", "assistant", the last turn an assistant's.

    `check` says how an answer to the last user turn is judged; None means it is not judged. Kinds:
    "exact" (equals the reference), "contains" (`value` appears), "list" (`count` distinct members of `category`),
    "json" (parses to `value`), "words" (every one of `value` appears).
    A `closed` example belongs to a set too small to split (a bare "Hello") and is always training.
    """

    family: str
    turns: tuple[tuple[str, str], ...]
    check: dict[str, Any] | None = None
    closed: bool = False
    parts: tuple[str, ...] = ()

    def keys(self) -> tuple[str, ...]:
        """The template instances inside: one for a conversation that hangs together, several for a joined one."""
        if self.parts:
            return self.parts
        prompt = "|".join(text for role, text in self.turns if role != "assistant")
        return (f"{self.family}|{prompt}",)

    def to_json(self) -> str:
        return json.dumps(
            {"family": self.family, "turns": self.turns, "check": self.check, "keys": self.keys()},
            ensure_ascii=False,
        )


def is_held_out(key: str) -> bool:
    """The split: a hash of the instance key alone, so no seed or order can move an instance across."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "little") % HELD_OUT_SHARE == 0


def split_of(example: Example) -> str | None:
    """ "train", "held_out", or None for a conversation that mixes both and is dropped."""
    if example.closed:
        return "train"
    marks = {is_held_out(key) for key in example.keys()}
    if len(marks) != 1:
        return None
    return "held_out" if marks.pop() else "train"


def single(
    family: str,
    user: str,
    assistant: str,
    check: Any = "exact",
    system: str | None = None,
    closed: bool = False,
) -> Example:
    """A one-turn example; check "exact" compares with the reference answer."""
    turns = [("user", user), ("assistant", assistant)]
    if system is not None:
        turns.insert(0, ("system", system))
    return Example(family, tuple(turns), {"kind": "exact"} if check == "exact" else check, closed)
