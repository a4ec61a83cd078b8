"""Settings that only show in a running server: deadlines, seeds, signs of life, blocks, the log's format."""

import json
import socket
import subprocess

import httpx
from openai import OpenAI

import patient_http as http
from server_process import BINARY, DEMO_MODEL, ENDLESS_TOKENS, ServerProcess, endless_flags, wait_until

ENDLESS = {"model": "endless", "prompt": "Once upon a time", "max_tokens": ENDLESS_TOKENS, "ignore_eos": True}


def running(server):
    return server.metric("runahead_requests_running")


def test_a_stream_that_waits_shows_that_it_lives(endless_model):
    """One sequence runs at a time; the second stream waits behind one that never ends by itself."""
    flags = endless_flags("--max-num-seqs", "1", "--sse-keep-alive-ms", "20")
    with ServerProcess(*flags, model=endless_model) as server:
        url = server.url + "/v1/completions"
        with http.stream("POST", url, json={**ENDLESS, "stream": True}) as holding:
            held = holding.iter_lines()
            next(held)
            with http.stream("POST", url, json={**ENDLESS, "stream": True, "max_tokens": 3}) as waiting:
                lines = waiting.iter_lines()
                assert [next(lines) for _ in range(4)] == [": keep-alive", ""] * 2
                with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as client:
                    # Comes back with the head, which only a sign of life can have brought.
                    stream = client.chat.completions.create(
                        model="endless", messages=[{"role": "user", "content": "hi"}], max_tokens=3, stream=True,
                        extra_body={"ignore_eos": True}, stream_options={"include_usage": True})
                    assert running(server) == 1
                    holding.close()
                    rest = [line for line in lines if line and not line.startswith(":")]
                    assert rest[-1] == "data: [DONE]" and len(rest) > 1
                    chunks = list(stream)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [c.choices[0].finish_reason for c in chunks[:-1]][-1] == "length"
        assert chunks[-1].usage.completion_tokens == 3


def test_the_default_deadline_is_that_of_requests_without_one(endless_model):
    with ServerProcess(*endless_flags("--default-timeout-ms", "100"), model=endless_model) as server:
        url = server.url + "/v1/completions"
        answer = http.post(url, json=ENDLESS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        own = http.post(url, json={**ENDLESS, "max_tokens": 3000, "timeout": 3600})
        assert own.status_code == 200 and own.json()["usage"]["completion_tokens"] == 3000
        assert server.metric("runahead_requests_expired_total") == 1


def test_a_seed_repeats_what_requests_without_one_get():
    def texts(seed):
        with ServerProcess("--seed", str(seed)) as server:
            body = {"model": "demo", "prompt": "Once", "max_tokens": 12, "temperature": 1.5, "ignore_eos": True}
            return [http.post(server.url + "/v1/completions", json=body).json()["choices"][0]["text"]
                    for _ in range(3)]

    first = texts(7)
    assert len(set(first)) == 3, "each draws its own"
    assert texts(7) == first
    assert texts(8) != first


def test_the_log_can_be_json():
    with ServerProcess("--log-format", "json") as server:
        http.post(server.url + "/v1/completions", json={"model": "demo", "prompt": "a", "max_tokens": 1,
                                                        "temperature": 1})
        wait_until(lambda: "drew seed" in server.log(), "logged")
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    drawn = next(line for line in lines if "drew seed" in line["message"])
    assert drawn["level"] == "info" and drawn["time"].endswith("Z")


def test_plan_and_serve_honour_a_number_of_blocks():
    flags = ("--num-kv-blocks", "200", "--max-model-len", "512")
    plan = subprocess.run([BINARY, "plan", "--model", DEMO_MODEL, *flags], capture_output=True, text=True, timeout=120)
    assert plan.returncode == 0 and " 200 blocks of 16 tokens" in plan.stdout
    with ServerProcess(*flags) as server:
        assert "KV cache: 200 blocks of 16 tokens" in server.log()


def test_a_wrong_key_is_refused_while_the_body_is_still_to_come():
    with ServerProcess("--api-key", "secret") as server:
        with socket.create_connection(("127.0.0.1", server.http_port)) as client:
            client.settimeout(120)
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nAuthorization: Bearer wrong\r\n"
                           b"Content-Length: 1000000\r\n\r\n{")
            assert client.recv(4096).startswith(b"HTTP/1.1 401 ")
        # A client that sends header and body apart, as most do, is served with the right one.
        body = {"model": "demo", "prompt": "a " * 500, "max_tokens": 1}
        with httpx.Client(headers={"Authorization": "Bearer secret"}, timeout=120) as client:
            assert client.post(server.url + "/v1/completions", json=body).status_code == 200


DRAFT_MODEL = DEMO_MODEL.parent / "draft"


def test_quantized_weights_serve_the_same_with_and_without_drafts():
    flags = ("--quantization", "int4", "--quantization-group-size", "64", "--quantization-overrides",
             "lm_head=int8,down_proj=int4-g32-zp", "--draft-model", DRAFT_MODEL)
    body = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    with ServerProcess(*flags) as server:
        log = server.log()
        assert "int4-g64 and int4-g32-zp, head int8, embeddings int8, " in log and " bits a weight" in log

        def ask(speculation):
            answer = http.post(server.url + "/v1/completions", json={**body, "speculation": speculation})
            assert answer.status_code == 200, answer.text
            return answer.json()

        alone = ask({"mode": "off"})
        drafted = ask({"mode": "fixed", "max_tokens": 4, "include_usage": True})
    assert drafted["choices"][0]["text"] == alone["choices"][0]["text"] and len(alone["choices"][0]["text"]) > 40
    assert drafted["usage"]["speculation"]["accepted_tokens"] > 0


def test_a_quantization_that_cannot_be_is_refused_with_its_name():
    for flags, cause in ((("--quantization", "int3"), 'must be "none", "int8" or "int4"'),
                         (("--quantization", "int4", "--quantization-group-size", "100"), "none of 128, 64, 32"),
                         (("--quantization-overrides", "lm_haed=int8"), "'lm_haed' matches no weight"),
                         (("--quantization-overrides", "k_proj=int8"), "they are one layer here")):
        run = subprocess.run([BINARY, "plan", "--model", DEMO_MODEL, *flags], capture_output=True, text=True,
                             timeout=120)
        assert run.returncode != 0 and cause in run.stderr, (flags, run.stderr)
