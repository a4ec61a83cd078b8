"""GET /v1/requests/{id}/explain over a real server: where the time went, in segments that sum to the wall time; and the
same identifiers in the access log and the trace headers."""

import json
import re
import socket
import threading
import time

import grpc
import pytest

import patient_http as http
from server_process import ENDLESS_TOKENS, ServerProcess, endless_flags, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
QUESTION = [{"role": "user", "content": "Count from 1 to 10."}]


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--log-format", "json") as process:
        yield process


def body(**fields):
    return {"model": "demo", "messages": QUESTION, "temperature": 0, "max_tokens": 24, "ignore_eos": True, **fields}


def chat(server, headers=None, **fields):
    answer = http.post(f"{server.url}/v1/chat/completions", json=body(**fields), headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer


def explain(server, request_id, headers=None):
    answer = http.get(f"{server.url}/v1/requests/{request_id}/explain", headers=headers or {})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert_sums_up(told)
    return told


def assert_sums_up(told):
    segments = told["segments_ms"]
    assert min(segments.values()) >= 0, told
    assert sum(segments.values()) == pytest.approx(told["wall_ms"], abs=1), told


def explain_ended(server, request_id, status="finished"):
    """A record ends a moment after the client has all."""
    wait_until(lambda: explain(server, request_id)["status"] == status, f"{request_id} is {status}")
    return explain(server, request_id)


def access_line(server, request_id):
    def lines():
        found = (json.loads(line) for line in server.log().splitlines() if line.startswith("{"))
        return [line for line in found if line.get("request_id") == request_id and line["message"] == "request"]
    wait_until(lambda: lines(), f"a line of {request_id}")
    assert len(lines()) == 1
    return lines()[0]


def test_a_whole_answer_by_either_id(server):
    before = time.monotonic()
    answer = chat(server, headers={"X-Request-Id": "whole-1", "traceparent": PARENT})
    wall_ms = (time.monotonic() - before) * 1000
    told = explain_ended(server, "whole-1")
    assert explain_ended(server, answer.json()["id"]) == told
    usage = answer.json()["usage"]
    assert told["usage"] == {"prompts": 1, "prompt_tokens": usage["prompt_tokens"],
                             "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"], "completion_tokens": 24}
    assert told["wall_ms"] <= wall_ms + 1
    assert told["segments_ms"]["decode"] > told["wall_ms"] / 4, "24 tokens are what this request is about"
    assert told["prefill"]["tokens"] == usage["prompt_tokens"] - told["usage"]["cached_tokens"]
    assert told["decode"]["steps"] >= 23 - told["speculation"]["accepted_tokens"]
    assert told["choices"] == [{"index": 0, "finish_reason": "length"}]
    assert 0 < told["first_token_ms"] < told["wall_ms"]

    trace = told["trace"]
    assert (trace["trace_id"], trace["parent_id"]) == (TRACE, "00f067aa0ba902b7")
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{trace['span_id']}-01"
    line = access_line(server, "whole-1")
    assert line["response_id"] == answer.json()["id"] == told["id"]
    assert (line["trace_id"], line["span_id"]) == (TRACE, trace["span_id"])
    assert line["total_ms"] == told["wall_ms"]
    assert (line["status"], line["finish_reason"], line["door"], line["model"]) == ("finished", "length", "http", "demo")
    assert line["completion_tokens"] == 24


def test_a_stream_and_its_prefix(server):
    long = [{"role": "user", "content": "Tell me a story. " * 20}]
    for request_id in ("stream-1", "stream-2"):
        with http.stream("POST", f"{server.url}/v1/chat/completions", json=body(messages=long, stream=True),
                         headers={"X-Request-Id": request_id}) as answer:
            for _ in answer.iter_lines():
                pass
    told = explain_ended(server, "stream-2")
    assert told["prefix"]["tokens"] == told["usage"]["cached_tokens"] > 0
    assert told["prefix"]["blocks"] * 16 == told["prefix"]["tokens"]
    assert explain_ended(server, "stream-1")["prefix"]["tokens"] == 0


def test_choices_prompts_and_drafts(server):
    told = chat(server, headers={"X-Request-Id": "n-3"}, n=3, temperature=1, seed=3)
    told = explain_ended(server, "n-3")
    assert len(told["choices"]) == 3
    assert told["decode"]["batch_sequences"]["max"] >= 3

    prompts = {"model": "demo", "prompt": ["One, two", "A cat", "Red"], "max_tokens": 8, "ignore_eos": True}
    assert http.post(f"{server.url}/v1/completions", json=prompts, headers={"X-Request-Id": "prompts"}).status_code == 200
    told = explain_ended(server, "prompts")
    assert (told["usage"]["prompts"], told["usage"]["completion_tokens"]) == (3, 24)

    text = chat(server).json()["choices"][0]["message"]["content"]
    chat(server, headers={"X-Request-Id": "drafted"}, prediction={"type": "content", "content": text},
         speculation={"mode": "fixed", "max_tokens": 4})
    told = explain_ended(server, "drafted")
    drafted = told["speculation"]["drafters"]["prediction"]
    assert 0 < drafted["accepted_tokens"] <= drafted["drafted_tokens"]


def test_a_stop_string_ends_the_time_too(server):
    chat(server, headers={"X-Request-Id": "stopped"}, stop=[","], max_tokens=200)
    told = explain_ended(server, "stopped")
    assert told["choices"][0]["finish_reason"] == "stop"


def test_refusals_have_their_line_and_unknown_ids_are_not_found(server):
    assert http.post(f"{server.url}/v1/chat/completions", json=body(temperature=9),
                     headers={"X-Request-Id": "refused"}).status_code == 400
    assert explain_ended(server, "refused", "rejected")["http_status"] == 400
    assert access_line(server, "refused")["status"] == "rejected"
    http.get(f"{server.url}/v1/models", headers={"X-Request-Id": "models", "traceparent": "00-" + "0" * 32 + "-1-01"})
    assert "trace_id" not in access_line(server, "models"), "not a trace"
    for bad in ("nobody", "..%2F..%2Fetc%2Fpasswd", "%FF%FE", "a%00b", "x" * 8000, "chatcmpl-"):
        answer = http.get(f"{server.url}/v1/requests/{bad}/explain")
        assert answer.status_code == 404 and len(answer.content) < 500, answer.text
    assert not re.search(r'"path":"/(health|ready|metrics)"', server.log()), "probes leave no line"


def test_grpc(api, server):
    pb, pb_grpc = api
    with grpc.insecure_channel(server.grpc_target) as channel:
        request = pb.ChatRequest(request_id="grpc-1", messages=[pb.Message(**m) for m in QUESTION],
                                 options=pb.GenerationOptions(max_tokens=12, ignore_eos=True))
        stream = pb_grpc.InferenceServiceStub(channel).Chat(request, metadata=(("traceparent", PARENT),))
        usage = [message for message in stream][-1].usage
        sent_back = dict(stream.initial_metadata())
    told = explain_ended(server, "grpc-1")
    assert (told["door"], told["usage"]["completion_tokens"]) == ("grpc", usage.completion_tokens)
    assert sent_back["traceresponse"] == f"00-{TRACE}-{told['trace']['span_id']}-01"
    assert access_line(server, "grpc-1")["door"] == "grpc"


def stream_by_hand(server, request_id, receive_buffer=None, **fields):
    """A socket on which a stream was asked for, and nothing was read."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(120)
    sock.connect(("127.0.0.1", server.http_port))
    payload = json.dumps(body(stream=True, **fields)).encode()
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nX-Request-Id: %s\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % (request_id.encode(), len(payload)) + payload)
    wait_until(lambda: http.get(f"{server.url}/v1/requests/{request_id}/explain").status_code == 200, "it is there")
    return sock


def test_a_slow_reader_is_waited_for_at_the_socket(endless):
    """What it has not read when the engine is done it is waited for: megabytes of logprobs, more than sockets hold."""
    with stream_by_hand(endless, "slow", 4096, model="endless", max_tokens=6000, logprobs=True,
                        top_logprobs=20) as sock:
        wait_until(lambda: explain(endless, "slow")["usage"]["completion_tokens"] == 6000, "all is generated")
        done = time.monotonic()
        wait_until(lambda: explain(endless, "slow")["segments_ms"]["socket"] > 300, "the server waits")
        told = explain(endless, "slow")
        assert told["status"] == "running" and not told["delivered"]
        waited_ms = (time.monotonic() - done) * 1000
        while sock.recv(1 << 20):
            pass
    told = explain_ended(endless, "slow")
    assert told["delivered"]
    assert told["segments_ms"]["socket"] >= min(waited_ms, 300)
    assert told["beside_ms"]["socket"] >= told["segments_ms"]["socket"]


def test_running_then_cancelled_and_why_another_waited(endless_model):
    flags = endless_flags("--max-num-seqs", "1", "--log-format", "json")
    with ServerProcess(*flags, model=endless_model) as server:
        running = stream_by_hand(server, "first", model="endless", max_tokens=ENDLESS_TOKENS)
        wait_until(lambda: explain(server, "first")["decode"]["steps"] > 10, "it runs")
        waiting = threading.Thread(target=chat, args=(server, {"X-Request-Id": "second"}),
                                   kwargs=dict(model="endless", max_tokens=2))
        waiting.start()
        wait_until(lambda: http.get(f"{server.url}/v1/requests/second/explain").status_code == 200, "the second waits")
        told = explain(server, "first")
        assert told["status"] == "running"
        assert told["segments_ms"]["decode"] > 0
        wait_until(lambda: explain(server, "second")["segments_ms"]["queue_places"] > 300, "it says for what")
        running.close()
        waiting.join()
        told = explain_ended(server, "second")
        assert told["segments_ms"]["queue_places"] > 200, told
        first = explain_ended(server, "first", "cancelled")
        assert not first["delivered"]
        line = access_line(server, "first")
        assert (line["status"], line["http_status"]) == ("cancelled", 200)


def test_preemption_changes_the_segments_and_no_token():
    """Blocks for one and a half of the three; and with everything off the same tokens are told."""
    small = ("--max-model-len", "256", "--num-kv-blocks", "24", "--enable-prefix-caching", "false")
    answers = {}
    for name, flags in (("on", ("--log-format", "json")), ("off", ("--explain", "0", "--access-log", "false"))):
        with ServerProcess(*small, *flags) as server:
            answers[name] = {}

            def ask(i):
                answer = chat(server, {"X-Request-Id": f"p{i}"}, max_tokens=200, temperature=1, seed=i)
                answers[name][i] = answer.json()["choices"][0]["message"]["content"]

            threads = [threading.Thread(target=ask, args=(i,)) for i in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if name == "off":
                assert http.get(f"{server.url}/v1/requests/p0/explain").status_code == 404
                assert "/v1/chat/completions 200" not in server.log()
                continue
            told = [explain_ended(server, f"p{i}") for i in range(3)]
            preempted = [t for t in told if t["preemptions"]["for_blocks"] > 0]
            assert sum(t["preemptions"]["for_blocks"] for t in told) == server.metric("runahead_preemptions_total") > 0
            for t in preempted:
                assert t["segments_ms"]["preempted"] > 0
                assert t["preemptions"]["recomputed_tokens"] > 0
                assert t["segments_ms"]["recompute"] > 0
    assert answers["on"] == answers["off"]


def test_a_key_sees_its_own_requests_by_name():
    with ServerProcess("--api-key", "secret-a,secret-b", "--api-key-names", "alice", "--log-format", "json") as server:
        a, b = ({"Authorization": f"Bearer {key}"} for key in ("secret-a", "secret-b"))
        chat(server, {**a, "X-Request-Id": "mine"})
        assert explain(server, "mine", a)["api_key"] == "alice"
        for headers, status in ((b, 404), ({}, 401)):
            assert http.get(f"{server.url}/v1/requests/mine/explain", headers=headers).status_code == status
        chat(server, {**b, "X-Request-Id": "theirs"})
        assert access_line(server, "theirs")["api_key"] == "key2"
        assert "secret" not in server.log()


def test_the_text_line_is_short():
    with ServerProcess("--log-format", "text") as server:
        chat(server, {"X-Request-Id": "line"})
        pattern = r"info POST /v1/chat/completions 200 finished [\d.]+ ms \(queue .*\), \d+\+24 tokens, request line of 127"
        wait_until(lambda: re.search(pattern, server.log()), "the line")
