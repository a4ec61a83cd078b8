"""The HTTP door through the official openai client: sync, async, streams, errors, and every option that shows."""

import asyncio
import math

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

QUESTION = [{"role": "user", "content": "What is the opposite of hot?"}]


@pytest.fixture
def client(server):
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def chat(client, **options):
    options = {"model": "demo", "messages": QUESTION, "temperature": 0, "max_tokens": 24, **options}
    return client.chat.completions.create(**options)


def joined(stream, index=0):
    """Text, finish reason and usage of one choice of a stream."""
    text, finish, usage = "", None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.index == index:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
    return text, finish, usage


def test_models(client):
    models = client.models.list().data
    assert [m.id for m in models] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("gpt-9")
    assert error.value.code == "model_not_found"


def test_a_stream_says_what_the_whole_answer_says(client):
    whole = chat(client)
    text, finish, usage = joined(chat(client, stream=True, stream_options={"include_usage": True}))
    assert text == whole.choices[0].message.content != ""
    assert finish == whole.choices[0].finish_reason
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_stream_framing(client):
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert len({c.id for c in chunks}) == 1 and chunks[0].id.startswith("chatcmpl-")
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    assert [c.choices[0].finish_reason for c in chunks[:-1]].count(None) == len(chunks) - 2
    assert chunks[-1].choices == [] and chunks[-1].usage is not None
    assert all(c.usage is None for c in chunks[:-1])


def test_max_tokens_is_length_and_counts(client):
    answer = chat(client, max_tokens=3, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    newer = chat(client, max_tokens=9, max_completion_tokens=3, extra_body={"ignore_eos": True})
    assert newer.usage.completion_tokens == 3


def test_stop_strings_end_text_and_usage(client):
    full = chat(client, max_tokens=40, extra_body={"ignore_eos": True})
    text = full.choices[0].message.content
    stop = text[4:7]
    assert stop, text
    cut = chat(client, max_tokens=40, stop=[stop], extra_body={"ignore_eos": True})
    assert cut.choices[0].message.content == text[:text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    assert cut.choices[0].stop_reason == stop
    assert cut.usage.completion_tokens < full.usage.completion_tokens
    kept = chat(client, max_tokens=40, stop=stop, extra_body={"ignore_eos": True, "include_stop_str_in_output": True})
    assert kept.choices[0].message.content == text[:text.index(stop) + len(stop)]
    streamed, finish, _ = joined(chat(client, max_tokens=40, stop=[stop], stream=True, extra_body={"ignore_eos": True}))
    assert (streamed, finish) == (cut.choices[0].message.content, "stop")


def test_seeds_repeat_and_choices_differ(client):
    options = {"temperature": 1.5, "n": 4, "max_tokens": 16, "extra_body": {"ignore_eos": True}}
    first = [c.message.content for c in chat(client, seed=7, **options).choices]
    again = [c.message.content for c in chat(client, seed=7, **options).choices]
    other = [c.message.content for c in chat(client, seed=8, **options).choices]
    assert first == again
    assert first != other
    assert len(set(first)) > 1
    streamed = list(chat(client, seed=7, stream=True, **options))
    texts = ["".join(c.choices[0].delta.content or "" for c in streamed if c.choices and c.choices[0].index == i)
             for i in range(4)]
    assert texts == first


def test_chat_logprobs(client):
    answer = chat(client, logprobs=True, top_logprobs=3, max_tokens=6, extra_body={"ignore_eos": True})
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 6
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        best = token.top_logprobs[0]
        assert math.isclose(token.logprob, best.logprob, abs_tol=1e-4), "greedy takes the most likely"
        assert [t.logprob for t in token.top_logprobs] == sorted((t.logprob for t in token.top_logprobs), reverse=True)
    text = b"".join(bytes(t.bytes) for t in tokens).decode()
    assert text.startswith(answer.choices[0].message.content.rstrip("\ufffd"))
    streamed = [t for chunk in chat(client, logprobs=True, top_logprobs=3, max_tokens=6, stream=True,
                                    extra_body={"ignore_eos": True})
                for t in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])]
    assert [t.bytes for t in streamed] == [t.bytes for t in tokens]


def test_completions_with_echo_and_logprobs(client):
    answer = client.completions.create(model="demo", prompt="One, two, three", max_tokens=4, temperature=0, echo=True,
                                       logprobs=2)
    choice = answer.choices[0]
    assert choice.text.startswith("One, two, three")
    logprobs = choice.logprobs
    assert len(logprobs.tokens) == answer.usage.total_tokens
    assert logprobs.token_logprobs[0] is None and all(p <= 0 for p in logprobs.token_logprobs[1:])
    assert logprobs.text_offset[0] == 0 and logprobs.text_offset == sorted(logprobs.text_offset)
    scored = client.completions.create(model="demo", prompt="One, two, three", max_tokens=0, echo=True, logprobs=0)
    assert scored.choices[0].text == "One, two, three"
    n = len(scored.choices[0].logprobs.tokens)
    assert scored.choices[0].logprobs.token_logprobs[1:] == pytest.approx(logprobs.token_logprobs[1:n], abs=1e-4)


def test_completions_take_every_form_of_prompt(client, server):
    text = "Count: one"
    ids = client.post(f"{server.url}/tokenize", cast_to=object,
                      body={"prompt": text})["tokens"]
    options = {"model": "demo", "max_tokens": 5, "temperature": 0}
    one = client.completions.create(prompt=text, **options).choices[0].text
    assert client.completions.create(prompt=ids, **options).choices[0].text == one
    many = client.completions.create(prompt=[text, "Another"], **options)
    assert [c.index for c in many.choices] == [0, 1] and many.choices[0].text == one
    tokens = client.completions.create(prompt=[ids, ids], **options)
    assert [c.text for c in tokens.choices] == [one, one]
    stream = client.completions.create(prompt=text, stream=True, **options)
    assert "".join(chunk.choices[0].text for chunk in stream) == one


def test_tokenize_and_detokenize_are_inverse(client, server):
    def post(path, body):
        return client.post(f"{server.url}{path}", cast_to=object, body=body)

    text = "Hello, w\u00f6rld \U0001f600!  two spaces"
    tokens = post("/tokenize", {"model": "demo", "prompt": text, "add_special_tokens": False})
    assert tokens["count"] == len(tokens["tokens"])
    assert post("/detokenize", {"model": "demo", "tokens": tokens["tokens"]}) == {"prompt": text}
    assert post("/tokenize", {"messages": QUESTION})["count"] == chat(client, max_tokens=1).usage.prompt_tokens


@pytest.mark.parametrize("options, kind, param, code", [
    ({"model": "gpt-9"}, openai.NotFoundError, "model", "model_not_found"),
    ({"messages": []}, openai.BadRequestError, "messages", None),
    ({"messages": [{"role": "robot", "content": "x"}]}, openai.BadRequestError, "messages[0].role", None),
    ({"temperature": 3}, openai.BadRequestError, "temperature", None),
    ({"n": 0}, openai.BadRequestError, "n", None),
    ({"stop": ["x"] * 10_000}, openai.BadRequestError, "stop", None),
    ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format", "unsupported_parameter"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools",
     "unsupported_parameter"),
    ({"messages": [{"role": "user", "content": "x " * 9000}]}, openai.BadRequestError, "messages",
     "context_length_exceeded"),
])
def test_errors(client, options, kind, param, code):
    with pytest.raises(kind) as error:
        chat(client, **options)
    assert set(error.value.body) == {"message", "type", "param", "code"}
    assert (error.value.param, error.value.code) == (param, code)


def test_deadlines_are_504_before_the_first_byte(client):
    with pytest.raises(openai.InternalServerError) as error:
        chat(client, extra_body={"timeout": 0})
    assert error.value.status_code == 504 and error.value.code == "deadline_exceeded"
    with pytest.raises(openai.InternalServerError) as error:
        chat(client, stream=True, extra_headers={"X-Request-Timeout": "0"})
    assert error.value.status_code == 504


def test_prefix_hits_show_in_usage(client):
    messages = [{"role": "user", "content": "Repeat after me: " + "word " * 200}]
    cold = chat(client, messages=messages, max_tokens=1, extra_body={"cache_salt": "prefix-test"})
    warm = chat(client, messages=messages, max_tokens=1, extra_body={"cache_salt": "prefix-test"})
    salted = chat(client, messages=messages, max_tokens=1, extra_body={"cache_salt": "another"})
    assert cold.usage.prompt_tokens_details.cached_tokens == 0
    assert warm.usage.prompt_tokens_details.cached_tokens >= 0.8 * warm.usage.prompt_tokens
    assert salted.usage.prompt_tokens_details.cached_tokens == 0


def test_a_hundred_concurrent_streams(server):
    async def one(client, i):
        stream = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": f"Count from {i % 5} to 9."}], temperature=0,
            max_tokens=24, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def run():
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
            return await asyncio.gather(*(one(client, i) for i in range(100)))

    texts = asyncio.run(run())
    for i, text in enumerate(texts):
        assert text == texts[i % 5], "the same request has the same answer in any batch"
