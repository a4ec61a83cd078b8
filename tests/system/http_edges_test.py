"""The HTTP door's edges: clients that vanish, dawdle or send nonsense; keys; the end of the process."""

import json
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from server_process import BINARY, DEMO_MODEL, ServerProcess, assert_metrics_reconcile

LONG = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 1900, "ignore_eos": True}


def wait_until(condition, what, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"in {timeout} s: not {what}"
        time.sleep(0.01)


def running(server):
    return server.metric("runahead_requests_running")


def test_a_vanished_stream_stops_costing_compute(server):
    cancelled = server.metric("runahead_requests_cancelled_total")
    with httpx.stream("POST", server.url + "/v1/completions", json={**LONG, "stream": True}, timeout=60) as answer:
        next(answer.iter_lines())
        assert running(server) >= 1
    wait_until(lambda: running(server) == 0, "cancelled after the client left")
    assert server.metric("runahead_requests_cancelled_total") == cancelled + 1
    generated = server.metric("runahead_generated_tokens_total")
    assert server.metric("runahead_generated_tokens_total") == generated
    assert_metrics_reconcile(server.metrics())


def test_a_client_that_leaves_before_a_whole_answer_is_noticed_too(server):
    cancelled = server.metric("runahead_requests_cancelled_total")
    body = json.dumps(LONG)
    with socket.create_connection(("127.0.0.1", server.http_port)) as client:
        client.sendall(f"POST /v1/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: running(server) == 1, "running")
    wait_until(lambda: running(server) == 0, "cancelled")
    assert server.metric("runahead_requests_cancelled_total") == cancelled + 1


def test_choices_end_though_nobody_reads(server):
    """The receive buffer is tiny and never read, so the answer (over 1 MB) fills every buffer on the way."""
    finished = server.metric("runahead_requests_finished_total")
    cancelled = server.metric("runahead_requests_cancelled_total")
    body = json.dumps({**LONG, "max_tokens": 120, "stream": True, "n": 4, "logprobs": 20})
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.http_port))
        client.sendall(f"POST /v1/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: server.metric("runahead_requests_finished_total") == finished + 1,
                   "finished without a reader", 60)
        assert httpx.get(server.url + "/health").status_code == 200
    assert server.metric("runahead_requests_cancelled_total") == cancelled


@pytest.mark.parametrize("payload", [
    b"", b"{", b"\xff\xfe", b'{"model": "demo", "messages": "\xed\xa0\x80"}', b"[" * 100_000,
    b'{"model": "demo", "messages": [], "n": 1e999}', b'{"model": "demo", "messages": [], "temperature": NaN}',
    b"null", b"5", b'"x"', b"[]",
])
def test_bodies_that_are_no_request_are_400(server, payload):
    answer = httpx.post(server.url + "/v1/chat/completions", content=payload,
                        headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert httpx.get(server.url + "/health").status_code == 200


def test_a_megabyte_of_one_byte_is_refused_in_a_moment(server):
    started = time.monotonic()
    answer = httpx.post(server.url + "/v1/completions", json={"model": "demo", "prompt": "a" * (1 << 20)}, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert time.monotonic() - started < 10  # seconds; about 0.3 on an idle machine


def test_a_deadline_amid_a_stream_is_an_event_and_the_end(server):
    expired = server.metric("runahead_requests_expired_total")
    body = {**LONG, "n": 32, "stream": True, "timeout": 0.3}
    with httpx.stream("POST", server.url + "/v1/completions", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert json.loads(events[-1])["error"]["code"] == "deadline_exceeded"
    assert len(events) > 32, "what was made before the deadline is kept"
    wait_until(lambda: server.metric("runahead_requests_expired_total") == expired + 1, "counted as expired")


def test_ids_are_echoed(server):
    answer = httpx.get(server.url + "/health", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == "mine-1"
    completion = httpx.post(server.url + "/v1/completions", headers={"X-Request-Id": "mine-2"},
                            json={"model": "demo", "prompt": "a", "max_tokens": 1})
    assert completion.json()["id"] == "cmpl-mine-2"
    assert "X-Request-Id" in httpx.get(server.url + "/nope").headers


def test_keys_and_origins_and_limits():
    with ServerProcess("--api-key", "secret", "--cors-origin", "https://app.example", "--max-body-bytes", "2000",
                       "--max-queue", "1", "--max-num-seqs", "1") as server:
        url = server.url + "/v1/models"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer secret"}).status_code == 200
        for path in ("/health", "/ready", "/metrics"):
            assert httpx.get(server.url + path).status_code == 200
        preflight = httpx.options(url, headers={"Origin": "https://app.example",
                                                "Access-Control-Request-Method": "GET"})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
        key = {"Authorization": "Bearer secret"}
        big = httpx.post(server.url + "/v1/completions", headers=key, json={"model": "demo", "prompt": "x" * 5000})
        assert (big.status_code, big.json()["error"]["code"]) == (413, "request_too_large")
        assert server.metric("runahead_requests_rejected_total", reason="too_large") == 1
        overloaded(server, key)


def overloaded(server, key):
    """One runs, one waits: the next is 429 with Retry-After, and what runs is unharmed."""
    outcomes = []

    def ask():
        outcomes.append(httpx.post(server.url + "/v1/completions", headers=key, timeout=120,
                                   json={**LONG, "max_tokens": 100}))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status_code for answer in outcomes]
    assert set(statuses) == {200, 429}, statuses
    for answer in outcomes:
        if answer.status_code == 429:
            assert answer.headers["Retry-After"] and answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert_metrics_reconcile(server.metrics())


def test_sigterm_finishes_what_runs_and_refuses_the_rest():
    with ServerProcess() as server:
        with httpx.stream("POST", server.url + "/v1/completions", timeout=60,
                          json={**LONG, "max_tokens": 250, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            wait_until(lambda: httpx.get(server.url + "/ready").status_code == 503, "unready")
            assert httpx.get(server.url + "/health").status_code == 200
            late = httpx.post(server.url + "/v1/completions", json={**LONG, "max_tokens": 1})
            assert late.status_code == 503 and late.headers["Retry-After"]
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert server.process.wait(timeout=30) == 0


def test_the_drain_deadline_ends_what_still_runs():
    with ServerProcess("--drain-timeout-ms", "50") as server:
        with httpx.stream("POST", server.url + "/v1/completions", timeout=60,
                          json={**LONG, "n": 64, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            rest = [line for line in lines if line]
        assert '"error"' in rest[-1], "the stream says that it was cut"
        assert server.process.wait(timeout=30) == 0


def start(*flags):
    return subprocess.run([BINARY, "serve", *flags], capture_output=True, text=True, timeout=60)


def test_what_cannot_start_says_why_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = start("--model", str(DEMO_MODEL), "--host", "127.0.0.1", "--http-port", port, "--grpc-port", "0")
    assert result.returncode == 1
    assert result.stderr.strip().count("\n") == 0
    assert f"127.0.0.1:{port}: Address already in use" in result.stderr and "--http-port" in result.stderr
    missing = start("--model", "/nonexistent", "--http-port", "0", "--grpc-port", "0")
    assert missing.returncode == 1 and "/nonexistent" in missing.stderr
    assert missing.stderr.strip().count("\n") == 0


def test_the_printed_curl_line_works(server):
    line = next(line for line in server.log().splitlines() if line.strip().startswith("curl "))
    result = subprocess.run(line.strip(), shell=True, capture_output=True, text=True, timeout=60)
    assert result.stdout.rstrip().endswith("data: [DONE]")


def test_the_printed_python_line_works(server):
    line = next(line for line in server.log().splitlines() if line.strip().startswith("python3 "))
    command = line.strip().replace("python3", sys.executable, 1)
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and result.stdout.strip(), result.stderr
