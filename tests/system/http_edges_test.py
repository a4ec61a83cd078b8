"""The HTTP door's edges: clients that vanish, dawdle or send nonsense; keys; the end of the process."""

import json
import socket
import subprocess
import sys

import pytest

import patient_http as http
from server_process import (BINARY, DEMO_MODEL, ENDLESS_TOKENS, ServerProcess, assert_metrics_reconcile, endless_flags,
                            wait_until)

LONG = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 1900, "ignore_eos": True}
ENDLESS = {**LONG, "model": "endless", "max_tokens": ENDLESS_TOKENS}


def running(server):
    return server.metric("runahead_requests_running")


def waiting(server):
    return server.metric("runahead_requests_waiting")


def send(client, body, *headers):
    """POSTs a completion without waiting for an answer."""
    content = json.dumps(body)
    head = "\r\n".join(["POST /v1/completions HTTP/1.1", f"Content-Length: {len(content)}", *headers])
    client.sendall(f"{head}\r\n\r\n{content}".encode())


def test_a_vanished_stream_stops_costing_compute(endless):
    cancelled = endless.metric("runahead_requests_cancelled_total")
    with http.stream("POST", endless.url + "/v1/completions", json={**ENDLESS, "stream": True}) as answer:
        lines = answer.iter_lines()  # an iterator nobody holds would close the connection
        next(lines)
        wait_until(lambda: running(endless) == 1, "running")
    wait_until(lambda: running(endless) == 0, "cancelled after the client left")
    assert endless.metric("runahead_requests_cancelled_total") == cancelled + 1
    generated = endless.metric("runahead_generated_tokens_total")
    assert endless.metric("runahead_generated_tokens_total") == generated
    assert_metrics_reconcile(endless.metrics())


def test_a_client_that_leaves_before_a_whole_answer_is_noticed_too(endless):
    cancelled = endless.metric("runahead_requests_cancelled_total")
    with socket.create_connection(("127.0.0.1", endless.http_port)) as client:
        send(client, ENDLESS)
        wait_until(lambda: running(endless) == 1, "running")
    wait_until(lambda: running(endless) == 0, "cancelled")
    assert endless.metric("runahead_requests_cancelled_total") == cancelled + 1


def test_choices_end_though_nobody_reads(server):
    """The receive buffer is tiny and never read, so the answer (over 1 MB) fills every buffer on the way."""
    finished = server.metric("runahead_requests_finished_total")
    cancelled = server.metric("runahead_requests_cancelled_total")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.http_port))
        send(client, {**LONG, "max_tokens": 120, "stream": True, "n": 4, "logprobs": 20})
        wait_until(lambda: server.metric("runahead_requests_finished_total") == finished + 1,
                   "finished without a reader")
        assert http.get(server.url + "/health").status_code == 200
    assert server.metric("runahead_requests_cancelled_total") == cancelled


@pytest.mark.parametrize("payload", [
    b"", b"{", b"\xff\xfe", b'{"model": "demo", "messages": "\xed\xa0\x80"}', b"[" * 100_000,
    b'{"model": "demo", "messages": [], "n": 1e999}', b'{"model": "demo", "messages": [], "temperature": NaN}',
    b"null", b"5", b'"x"', b"[]",
])
def test_bodies_that_are_no_request_are_400(server, payload):
    answer = http.post(server.url + "/v1/chat/completions", content=payload,
                        headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert http.get(server.url + "/health").status_code == 200


def test_a_megabyte_of_one_byte_is_refused(server):
    answer = http.post(server.url + "/v1/completions", json={"model": "demo", "prompt": "a" * (1 << 20)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_deadline_amid_a_stream_is_an_event_and_the_end(endless):
    expired = endless.metric("runahead_requests_expired_total")
    for attempt, timeout in enumerate((0.2, 1, 5, 25), start=1):
        body = {**ENDLESS, "n": 4, "stream": True, "timeout": timeout}
        with http.stream("POST", endless.url + "/v1/completions", json=body) as answer:
            events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        if answer.status_code == 200:
            break
        assert answer.status_code == 504, "so slow a machine that nothing was made in that time"
    assert json.loads(events[-1])["error"]["code"] == "deadline_exceeded"
    assert all("choices" in json.loads(event) for event in events[:-1])
    assert len(events) > 1, "what was made before the deadline is kept"
    wait_until(lambda: endless.metric("runahead_requests_expired_total") == expired + attempt, "counted as expired")


def test_ids_are_echoed(server):
    answer = http.get(server.url + "/health", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == "mine-1"
    completion = http.post(server.url + "/v1/completions", headers={"X-Request-Id": "mine-2"},
                            json={"model": "demo", "prompt": "a", "max_tokens": 1})
    assert completion.json()["id"] == "cmpl-mine-2"
    assert "X-Request-Id" in http.get(server.url + "/nope").headers


def test_keys_and_origins_and_limits(endless_model):
    with ServerProcess(*endless_flags("--api-key", "secret", "--cors-origin", "https://app.example", "--max-body-bytes", "2000",
                                      "--max-queue", "1", "--max-num-seqs", "1"), model=endless_model) as server:
        url = server.url + "/v1/models"
        assert http.get(url).status_code == 401
        assert http.get(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert http.get(url, headers={"Authorization": "Bearer secret"}).status_code == 200
        for path in ("/health", "/ready", "/metrics"):
            assert http.get(server.url + path).status_code == 200
        preflight = http.options(url, headers={"Origin": "https://app.example",
                                                "Access-Control-Request-Method": "GET"})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
        key = {"Authorization": "Bearer secret"}
        big = http.post(server.url + "/v1/completions", headers=key, json={"model": "demo", "prompt": "x" * 5000})
        assert (big.status_code, big.json()["error"]["code"]) == (413, "request_too_large")
        assert server.metric("runahead_requests_rejected_total", reason="too_large") == 1
        overloaded(server, key)


def overloaded(server, key):
    """One runs, one waits: the next is 429 with Retry-After, and the others are unharmed."""
    address = ("127.0.0.1", server.http_port)
    header = f"Authorization: {key['Authorization']}"
    with socket.create_connection(address) as first, socket.create_connection(address) as second:
        send(first, ENDLESS, header)
        wait_until(lambda: running(server) == 1, "one runs")
        send(second, ENDLESS, header)
        wait_until(lambda: waiting(server) == 1, "one waits")
        answer = http.post(server.url + "/v1/completions", headers=key, json=ENDLESS)
        assert answer.status_code == 429 and answer.headers["Retry-After"]
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert (running(server), waiting(server)) == (1, 1)
    wait_until(lambda: (running(server), waiting(server)) == (0, 0), "both gone")
    assert_metrics_reconcile(server.metrics())


def test_sigterm_finishes_what_runs_and_refuses_the_rest(endless_model):
    """One stream holds the draining process open until its client leaves; another is short enough to end."""
    flags = endless_flags("--drain-timeout-ms", "3600000")
    with ServerProcess(*flags, model=endless_model) as server:
        url = server.url + "/v1/completions"
        with http.stream("POST", url, json={**ENDLESS, "stream": True}) as holding:
            held = holding.iter_lines()
            next(held)
            with http.stream("POST", url, json={**ENDLESS, "stream": True, "max_tokens": 3000}) as ending:
                lines = ending.iter_lines()
                next(lines)
                server.process.terminate()
                wait_until(lambda: http.get(server.url + "/ready").status_code == 503, "unready")
                generated = server.metric("runahead_generated_tokens_total")
                wait_until(lambda: server.metric("runahead_generated_tokens_total") > generated, "still generating")
                assert http.get(server.url + "/health").status_code == 200
                late = http.post(url, json={**ENDLESS, "max_tokens": 1})
                assert late.status_code == 503 and late.headers["Retry-After"]
                assert [line for line in lines if line][-1] == "data: [DONE]"
            assert server.process.poll() is None
        assert server.process.wait(timeout=120) == 0


def test_the_drain_deadline_ends_what_still_runs(endless_model):
    with ServerProcess(*endless_flags("--drain-timeout-ms", "50"), model=endless_model) as server:
        with http.stream("POST", server.url + "/v1/completions", json={**ENDLESS, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            rest = [line for line in lines if line]
        assert '"error"' in rest[-1], "the stream says that it was cut"
        assert server.process.wait(timeout=120) == 0


def start(*flags):
    return subprocess.run([BINARY, "serve", *flags], capture_output=True, text=True, timeout=120)


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
    result = subprocess.run(line.strip(), shell=True, capture_output=True, text=True, timeout=120)
    assert result.stdout.rstrip().endswith("data: [DONE]")


def test_the_printed_python_line_works(server):
    line = next(line for line in server.log().splitlines() if line.strip().startswith("python3 "))
    command = line.strip().replace("python3", sys.executable, 1)
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and result.stdout.strip(), result.stderr
