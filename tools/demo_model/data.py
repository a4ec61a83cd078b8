"""Turns conversations into token ids with loss weights and packs them into rows.

Nothing is stored: batch k of a seed is generated when it is needed, so a run resumes exactly and never repeats an epoch.
"""

import numpy as np
from tokenizers import Tokenizer

from .corpus import Example, conversations

BOS_ID, END_ID, USER_ID, ASSISTANT_ID, SYSTEM_ID, PAD_ID = range(6)
ROLE_ID = {"user": USER_ID, "assistant": ASSISTANT_ID, "system": SYSTEM_ID}
VOCAB, FIRST_PLAIN_ID = 2048, 6  # ids below are special
ECHO_SHARE = 0.1  # share of a training row's pieces that are a random sequence said several times
PROMPT_WEIGHT = 0.1  # loss weight of tokens the model is given rather than asked for


def encode(tokenizer: Tokenizer, example: Example) -> tuple[list[int], list[float]]:
    """Ids of one conversation and the loss weight of predicting each; the chat template's layout."""
    ids, weights = [BOS_ID], [PROMPT_WEIGHT]
    for role, text in example.turns:
        body = tokenizer.encode(text, add_special_tokens=False).ids + [END_ID]
        answer = role in ("assistant", "text")
        if role in ROLE_ID:
            ids.append(ROLE_ID[role])
            weights.append(PROMPT_WEIGHT)
        ids += body
        weights += [1.0 if answer else PROMPT_WEIGHT] * len(body)
    return ids, weights


def encode_prompt(tokenizer: Tokenizer, example: Example) -> list[int]:
    """Ids up to and with <|assistant|>: the last answer is left out."""
    ids = [BOS_ID]
    for role, text in example.turns[:-1]:
        ids += [ROLE_ID[role]] + tokenizer.encode(text, add_special_tokens=False).ids + [END_ID]
    return ids + [ASSISTANT_ID]


def echo(random: np.random.Generator) -> tuple[list[int], list[float]]:
    """Random ids said two to four times, the repeats weighted: nothing but looking back predicts them.

    Without these pieces copying had not begun to be learned after 3.7 million tokens.
    """
    unit = random.integers(FIRST_PLAIN_ID, VOCAB, int(random.integers(5, 50))).tolist()
    times = int(random.integers(2, 5))
    return [BOS_ID] + unit * times, [0.0] * (1 + len(unit)) + [1.0] * (len(unit) * (times - 1))


def batch(
    tokenizer: Tokenizer,
    seed: int,
    step: int,
    num_tokens: int,
    length: int,
    split: str = "train",
    echo_share: float = ECHO_SHARE,
):
    """Packed rows: ids [num_tokens / length, length + 1] int64 and weights of the same shape f32.

    Every row starts with a conversation; the last one of a row is cut where the row ends.
    """
    stream = conversations(seed * 1_000_003 + step, split)
    random = np.random.default_rng([seed, step])
    rows, row_weights = [], []
    for _ in range(num_tokens // length):
        ids, weights = [], []
        while len(ids) < length + 1:
            if split == "train" and random.random() < echo_share:
                more, more_weights = echo(random)
            else:
                more, more_weights = encode(tokenizer, next(stream))
            if len(more) > length + 1:
                continue
            ids += more
            weights += more_weights
        rows.append(ids[: length + 1])
        row_weights.append(weights[: length + 1])
    return np.array(rows, dtype=np.int64), np.array(row_weights, dtype=np.float32)


def row_length(step: int) -> int:
    """Half the steps 256 tokens a row, three eighths 512, one eighth 1024.

    Attention took half of a CPU step at 512 and more; most conversations are shorter than 200 tokens.
    """
    return (256, 512, 256, 512, 256, 512, 256, 1024)[step % 8]
