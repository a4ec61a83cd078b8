"""Prefix hits as clients and operators see them, whatever drafts: a request finds the blocks that an earlier one with the
same beginning computed and verified, its usage says how many tokens that was, and so do the metrics."""

import pytest

import patient_http as http
from server_process import ROOT, ServerProcess

BLOCK = 16
TALE = [f"Line {i}: the red fox and the old dog sat by the river, and the red fox sang song {i}." for i in range(24)]
SPECULATION = {"off": {"mode": "off"}, "auto": {"mode": "auto"}, "fixed": {"mode": "fixed", "max_tokens": 5}}


@pytest.fixture(scope="module", params=["model,ngram,prediction", "ngram", "none"])
def server(request):
    with ServerProcess("--draft-model", str(ROOT / "models/demo/draft"), "--drafters", request.param,
                       "--threads", "1") as process:
        yield process


def complete(server, prompt, mode, **fields):
    body = {"model": "demo", "prompt": prompt, "max_tokens": 40, "temperature": 0.8, "seed": 3, "ignore_eos": True,
            "speculation": SPECULATION[mode], **fields}
    answer = http.post(f"{server.url}/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def cached(answer) -> int:
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def tokens(server, text: str) -> list[int]:
    return http.post(f"{server.url}/tokenize", json={"model": "demo", "prompt": text}).json()["tokens"]


def hits(server) -> tuple[float, float, float]:
    return tuple(server.metric(f"runahead_{name}_total") for name in (
        "prefix_cache_query_tokens", "prefix_cache_hit_tokens", "cached_prompt_tokens"))


@pytest.mark.parametrize("mode", SPECULATION)
def test_a_shared_beginning_is_found(server, mode):
    salt = {"cache_salt": f"shared-{mode}"}
    shared = tokens(server, "\n".join(TALE))
    assert len(shared) > 20 * BLOCK
    first, second = shared + tokens(server, " What did the dog say?"), shared + tokens(server, " And then they went home")
    before = hits(server)
    assert cached(complete(server, first, mode, **salt)) == 0
    again = complete(server, second, mode, **salt)
    same = next(i for i, (a, b) in enumerate(zip(first, second)) if a != b)
    assert cached(again) == same // BLOCK * BLOCK
    queried, hit, reused = (after - was for after, was in zip(hits(server), before))
    assert hit == reused == cached(again)
    assert queried >= len(first) + len(second) - 2 * BLOCK
    assert again["choices"] == complete(server, second, "off", cache_salt=f"cold-{mode}")["choices"]


@pytest.mark.parametrize("mode", SPECULATION)
def test_an_answer_is_found_by_the_turn_after_it(server, mode):
    """What was generated is reused like a prompt: every block that verified tokens fill, and no other."""
    salt = {"cache_salt": f"turns-{mode}"}
    prompt = tokens(server, "\n".join(TALE[:3]))
    choice = complete(server, prompt, mode, logprobs=0, **salt)["choices"][0]
    generated = [token for piece in choice["logprobs"]["tokens"] for token in tokens(server, piece)]
    assert len(generated) == 40
    next_turn = prompt + generated + tokens(server, " And then?")
    # The last token was never the model's input.
    assert cached(complete(server, next_turn, mode, **salt)) == (len(prompt) + 39) // BLOCK * BLOCK


@pytest.mark.parametrize("mode", SPECULATION)
def test_all_modes_share_one_cache(server, mode):
    """A request without speculation finds what one with it left, and the other way round."""
    prompt = tokens(server, "\n".join(TALE))
    salt = {"cache_salt": f"mixed-{mode}"}
    complete(server, prompt, mode, **salt)
    for other in SPECULATION:
        assert cached(complete(server, prompt, other, **salt)) == (len(prompt) - 1) // BLOCK * BLOCK
