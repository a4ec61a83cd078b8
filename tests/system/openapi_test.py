"""Answers of the HTTP door against OpenAI's own OpenAPI file (of RUNAHEAD_TEST_DATA; skipped where that is unset)."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

import patient_http as http

DATA = os.environ.get("RUNAHEAD_TEST_DATA")
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def to_json_schema(node):
    """OpenAPI's `nullable` in JSON Schema's words; everything else is JSON Schema already."""
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: to_json_schema(value) for key, value in node.items()
           if not (key in ("example", "description", "discriminator") and not isinstance(value, dict))}
    if node.get("nullable") is True:
        out.pop("nullable")
        return {"anyOf": [out, {"type": "null"}]}
    return out


@pytest.fixture(scope="module")
def schemas():
    if not DATA:
        pytest.skip("RUNAHEAD_TEST_DATA is not set")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the file is 3 MB: the pure Python loader takes a minute
    document = yaml.load((Path(DATA) / "openai/openapi.yaml").read_text(), Loader=loader)
    return {"components": {"schemas": to_json_schema(document["components"]["schemas"])}}


def check(schemas, name, value):
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas}).validate(value)


def post(server, path, **body):
    return http.post(server.url + path, json={"model": "demo", "max_tokens": 6, **body})


def events(response):
    datas = [block.removeprefix("data: ") for block in response.text.split("\n\n") if block]
    assert datas[-1] == "[DONE]"
    return [json.loads(data) for data in datas[:-1]]


@pytest.mark.parametrize("options", [{}, {"logprobs": True, "top_logprobs": 2}, {"n": 3, "seed": 1},
                                     {"stop": ["a"]}])
def test_chat(server, schemas, options):
    check(schemas, "CreateChatCompletionResponse",
          post(server, "/v1/chat/completions", messages=QUESTION, **options).json())


@pytest.mark.parametrize("options", [{}, {"logprobs": True, "top_logprobs": 2}, {"n": 2},
                                     {"stream_options": {"include_usage": True}}])
def test_chat_chunks(server, schemas, options):
    for chunk in events(post(server, "/v1/chat/completions", messages=QUESTION, stream=True, **options)):
        check(schemas, "CreateChatCompletionStreamResponse", chunk)


@pytest.mark.parametrize("options", [{}, {"logprobs": 3}, {"n": 2, "prompt": ["a", "b"]}])
def test_completions(server, schemas, options):
    body = {"prompt": "Once", **options}
    check(schemas, "CreateCompletionResponse", post(server, "/v1/completions", **body).json())
    for chunk in events(post(server, "/v1/completions", stream=True, **body)):
        # The file has one schema for answer and chunk; OpenAI's own chunks say null until the last.
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        check(schemas, "CreateCompletionResponse", chunk)


def test_models(server, schemas):
    check(schemas, "ListModelsResponse", http.get(server.url + "/v1/models").json())
    check(schemas, "Model", http.get(server.url + "/v1/models/demo").json())


@pytest.mark.parametrize("method, path, body", [
    ("POST", "/v1/chat/completions", {"messages": []}), ("POST", "/v1/chat/completions", {"model": "x"}),
    ("POST", "/v1/completions", {"prompt": 5}), ("GET", "/v1/models/x", None), ("GET", "/nope", None),
    ("DELETE", "/v1/models", None),
])
def test_errors(server, schemas, method, path, body):
    answer = http.request(method, server.url + path, json=body)
    assert answer.status_code >= 400
    check(schemas, "ErrorResponse", answer.json())


def test_the_check_can_fail(server, schemas):
    answer = post(server, "/v1/chat/completions", messages=QUESTION).json()
    answer["choices"][0]["finish_reason"] = "because"
    with pytest.raises(jsonschema.ValidationError):
        check(schemas, "CreateChatCompletionResponse", answer)
