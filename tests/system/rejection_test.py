"""Served answers of rejection verification against the exact distribution of a tiny model: chi-square tests over whole
answers and over each of their tokens, with a fixed rate of false alarms, and the power to see a bias of 1 %.

Seeds and depths of drafting are fixed, so the result is the same at every run."""

import math
import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from server_process import ServerProcess
from tiny_llama import LETTERS, perturbed, random_weights, sequence_distribution, write_checkpoint

LENGTH = 4  # tokens of an answer; the first is the prompt's own, the rest are judged drafts and what replaces them
PROMPT = [2, 0, 7, 4, 2, 0, 7, 4, 2, 0]  # repeats, so that looking up in it finds something to draft
CHOICES = 128
FALSE_ALARMS = 1e-6  # of the whole file, were its seeds drawn anew
IS_SLOW = bool(os.environ.get("RUNAHEAD_SANITIZE"))
NUM_REQUESTS = 16 if IS_SLOW else 80
NUM_REQUESTS_FOR_POWER = 16 if IS_SLOW else 800

CASES = {
    "plain": dict(temperature=1),
    "cold": dict(temperature=0.6),
    "hot": dict(temperature=1.7, top_k=6),
    "nucleus": dict(temperature=0.9, top_p=0.85),
    "min_p": dict(temperature=1.3, min_p=0.12),
    "penalties": dict(temperature=1, presence_penalty=0.5, frequency_penalty=0.4, repetition_penalty=1.3,
                      logit_bias={"3": 0.7, "8": -100}),
}
NUM_TESTS = 2 * len(CASES) * (1 + LENGTH)


@pytest.fixture(scope="module")
def weights():
    return random_weights(seed=1)


@pytest.fixture(scope="module")
def checkpoints(weights, tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return (write_checkpoint(root / "target", weights),
            write_checkpoint(root / "draft", perturbed(weights, seed=2, scale=0.3)))


@pytest.fixture(scope="module", params=["model", "ngram"])
def server(request, checkpoints):
    target, draft = checkpoints
    with ServerProcess("--served-model-name", "tiny", "--draft-model", str(draft), "--drafters", request.param,
                       "--verification", "rejection", "--threads", "1", model=target) as process:
        yield process


def answers(server, num_requests: int, **options) -> tuple[np.ndarray, dict]:
    """[num_requests * CHOICES, LENGTH] token ids as served, and what speculation did for them."""
    client = httpx.Client(base_url=server.url, timeout=120)

    def ask(seed: int) -> dict:
        body = {"model": "tiny", "prompt": PROMPT, "n": CHOICES, "max_tokens": LENGTH, "ignore_eos": True, "seed": seed,
                "speculation": {"mode": "fixed", "max_tokens": LENGTH - 1, "include_usage": True}, **options}
        answer = client.post("/v1/completions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with client, ThreadPoolExecutor(2) as pool:
        whole = list(pool.map(ask, range(num_requests)))
    texts = [choice["text"] for answer in whole for choice in answer["choices"]]
    assert {len(text) for text in texts} == {LENGTH}
    did = {count: sum(answer["usage"]["speculation"][count] for answer in whole)
           for count in ("drafted_tokens", "accepted_tokens")}
    return np.array([[LETTERS.index(letter) for letter in text] for text in texts]), did


def chi_square_tail(statistic: float, freedom: int) -> float:
    """The chance that chi-square of so many degrees of freedom is larger: the regularized incomplete gamma function, by
    its series below the mean and its continued fraction above (Abramowitz and Stegun 6.5.29, 6.5.31)."""
    a, x = freedom / 2, statistic / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a)) if x > 0 else 0
    if x < a + 1:
        term = total = 1 / a
        k = 1
        while term > total * 1e-15:
            term *= x / (a + k)
            total += term
            k += 1
        return 1 - front * total
    b = x + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for i in range(1, 100_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b)
        c = b + step / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction


def chance(counts: np.ndarray, p: np.ndarray) -> float:
    """How likely counts this far from p are, by Pearson's chi-square; what is expected fewer than ten times is one bin."""
    counts, expected = counts.reshape(-1), p.reshape(-1) * counts.sum()
    assert counts[expected == 0].sum() == 0, "an answer that the filters rule out"
    is_rare = expected < 10
    counts = np.append(counts[~is_rare], counts[is_rare].sum())
    expected = np.append(expected[~is_rare], expected[is_rare].sum())
    counts, expected = counts[expected >= 10], expected[expected >= 10]
    if len(counts) < 2:
        return 1  # too few answers to tell any two apart, as sanitizers give for whole ones
    return chi_square_tail(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)


def alarms(served: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """The tests that fail, of whole answers and of each token by itself, and how unlikely that was."""
    vocabulary = len(LETTERS)
    whole = np.bincount(served @ vocabulary ** np.arange(LENGTH - 1, -1, -1), minlength=vocabulary**LENGTH)
    chances = {"answers": chance(whole, exact)}
    for place in range(LENGTH):
        marginal = exact.sum(axis=tuple(i for i in range(LENGTH) if i != place))
        chances[f"token {place + 1}"] = chance(np.bincount(served[:, place], minlength=vocabulary), marginal)
    return {name: value for name, value in chances.items() if value < FALSE_ALARMS / NUM_TESTS}


@pytest.mark.parametrize("name", CASES)
def test_served_answers_have_the_exact_distribution(server, weights, name):
    served, did = answers(server, NUM_REQUESTS, **CASES[name])
    assert alarms(served, sequence_distribution(weights, PROMPT, LENGTH, **CASES[name])) == {}
    assert 0.01 < did["accepted_tokens"] / did["drafted_tokens"] < 0.99, "both verdicts must be common"


def biased(served: np.ndarray, place: int, exact: np.ndarray) -> np.ndarray:
    """The answers of a server that emits one token, drawn one time in 20, 1 % too often at that place."""
    marginal = exact.sum(axis=tuple(i for i in range(LENGTH) if i != place))
    served = served.copy()
    served[::100, place] = np.argmin(abs(marginal - 0.05))
    return served


@pytest.mark.skipif(IS_SLOW, reason="too few answers for power where sanitizers slow the server")
def test_a_bias_of_one_percent_is_caught(server, weights):
    served, _ = answers(server, NUM_REQUESTS_FOR_POWER, temperature=1)
    exact = sequence_distribution(weights, PROMPT, LENGTH, temperature=1)
    assert alarms(served, exact) == {}
    for place in range(LENGTH):
        assert alarms(biased(served, place, exact), exact), f"nobody noticed the bias of token {place + 1}"


def test_the_chance_is_that_of_chi_square():
    """Against tables: the 5 %, 1 % and 0.1 % points."""
    for freedom, point, tail in ((1, 3.8415, 0.05), (10, 23.209, 0.01), (100, 149.449, 0.001), (2, 27.631, 1e-6)):
        assert chi_square_tail(point, freedom) == pytest.approx(tail, rel=1e-3)
    assert chi_square_tail(1, 10) == pytest.approx(0.99983, rel=1e-4)
