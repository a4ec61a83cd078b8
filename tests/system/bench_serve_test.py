"""`runahead bench serve`: its counts are the server's own, what goes wrong is told by kind, wrong flags are said."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import xml.etree.ElementTree
from collections import Counter
from html.parser import HTMLParser

import pytest

from server_process import BINARY, ROOT, ServerProcess, wait_until


def bench(*flags, env=None, **options):
    return subprocess.run([BINARY, "bench", "serve", *map(str, flags)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **(env or {})}, **options)


def measure(url, tmp_path, *flags):
    """The JSON report, and what was printed."""
    report = tmp_path / "report.json"
    result = bench("--url", url, "--json", report, *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(report.read_text()), result.stdout


COUNTERS = {"requests": "runahead_requests_received_total", "finished": "runahead_requests_finished_total",
            "prompt": "runahead_prompt_tokens_total", "cached": "runahead_cached_prompt_tokens_total",
            "generated": "runahead_generated_tokens_total", "discarded": "runahead_discarded_tokens_total",
            "accepted": "runahead_spec_decode_accepted_tokens_total"}


class Difference:
    """What the server counted since."""

    def __init__(self, server):
        self._server, self._before = server, self._counts(server)

    @staticmethod
    def _counts(server):
        metrics = server.metrics()
        return {key: sum(v for series, v in metrics.items() if series.split("{")[0] == name)
                for key, name in COUNTERS.items()}

    def now(self):
        return {key: value - self._before[key] for key, value in self._counts(self._server).items()}


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_counts_are_the_servers_own(server, tmp_path, endpoint):
    counted = Difference(server)
    report, table = measure(server.url, tmp_path, "--endpoint", endpoint, "--num-requests", 24, "--concurrency", 4,
                            "--warm-up", 0, "--input-tokens", "48-96", "--shared-prefix", 40, "--prefix-groups", 2,
                            "--output-tokens", "4-16", "--seed", 11)
    server_says = counted.now()
    assert report["num_ok"] == report["num_requests"] == 24 == server_says["requests"] == server_says["finished"]
    assert report["prompt_tokens"] == server_says["prompt"]
    assert report["cached_tokens"] == server_says["cached"] > 0
    assert report["completion_tokens"] == server_says["generated"] - server_says["discarded"]
    assert "exactly, by the server's /tokenize" in report["setting"]["prompts"]
    assert all(48 <= row["prompt_tokens"] <= 96 and 4 <= row["completion_tokens"] <= 16 for row in report["requests"])
    assert sum(row["completion_tokens"] for row in report["requests"]) == report["completion_tokens"]
    assert report["num_ttft"] == 24 and report["num_itl"] == report["num_chunks"] - 24
    assert 0 < report["ttft_seconds"]["p50"] <= report["e2e_seconds"]["p50"]
    assert report["peak_in_flight"] <= 4 and report["num_connections"] <= 4 + 1
    assert "24 of 24 requests answered" in table


def test_a_warm_up_is_served_but_not_counted(server, tmp_path):
    counted = Difference(server)
    report, _ = measure(server.url, tmp_path, "--num-requests", 6, "--warm-up", 5, "--input-tokens", 64,
                        "--output-tokens", 64)
    assert report["num_requests"] == 6
    assert counted.now()["requests"] == 11
    assert {row["prompt_tokens"] for row in report["requests"]} == {64}
    assert report["completion_tokens"] == 6 * 64, "synthetic prompts are answered to the very length"


def test_drafts_are_those_the_server_tells_of(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Spell the word elephant.", "speculation": {"mode": "fixed", "max_tokens": 3}}\n')
    with ServerProcess("--draft-model", str(ROOT / "models/demo/draft"), "--threads", "1") as server:
        counted = Difference(server)
        report, table = measure(server.url, tmp_path, "--prompts", prompts, "--num-requests", 3, "--warm-up", 0,
                                "--output-tokens", 32)
        drafts = report["speculation"]
        # What was accepted behind an answer's end is in the server's count alone.
        assert 0 < drafts["accepted_tokens"] <= counted.now()["accepted"]
        assert drafts["accepted_tokens"] <= drafts["drafted_tokens"]
        # A step gives what was accepted and one token more, but for an answer that ends amid the accepted.
        assert 0 <= drafts["target_steps"] + drafts["accepted_tokens"] - report["completion_tokens"] <= 3
        # A step's tokens come in one chunk.
        assert report["num_chunks"] < report["completion_tokens"]
        assert "drafts accepted" in table


def test_an_open_loop_sends_when_it_should(server, tmp_path):
    report, _ = measure(server.url, tmp_path, "--num-requests", 30, "--rate", 60, "--burstiness", 2, "--output-tokens",
                        2, "--input-tokens", 32, "--slo", "ttft:60000,e2e:60000")
    sent = [row["sent_seconds"] for row in report["requests"]]
    assert sent == sorted(sent)
    # 29 gaps of mean 1/60 s and shape 2: five standard errors of their sum.
    assert abs(sent[-1] - 29 / 60) < 5 * (29 / 2) ** 0.5 / 60 + report["lag_seconds"]["p99"] + 0.5
    assert report["goodput"]["share"] == 1
    assert report["goodput"]["requests_per_second"] == pytest.approx(report["requests_per_second"])


class PageReader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.words = Counter(), []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1

    def handle_data(self, data):
        self.words.append(data)


def test_pages_are_whole_and_runs_are_compared(server, tmp_path):
    for name in ("first", "second"):
        measure(server.url, tmp_path, "--num-requests", 4, "--output-tokens", 8, "--input-tokens", 32, "--name", name,
                "--html", tmp_path / f"{name}.html")
        os.rename(tmp_path / "report.json", tmp_path / f"{name}.json")
    both = bench("--compare", tmp_path / "first.json", tmp_path / "second.json", "--html", tmp_path / "both.html")
    assert both.returncode == 0, both.stderr
    assert [line.split()[0] for line in both.stdout.splitlines()] == ["run", "first", "second"]
    for name, num_plots in (("first", 7), ("both", 7)):
        text = (tmp_path / f"{name}.html").read_text()
        page = PageReader()
        page.feed(text)
        assert page.tags["svg"] == num_plots and not page.tags["script"] and not page.tags["link"]
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            xml.etree.ElementTree.fromstring(svg)
    assert "second" in page.words


def event(payload) -> bytes:
    return b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n"


def text_chunk(text, finish=None):
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
USAGE = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}})


def refusal(status: int, message: str) -> bytes:
    body = json.dumps({"error": {"message": message}}).encode()
    head = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class BadServer:
    """Answers the i-th request by what `script` has at i, then closes the connection, or keeps silent for good."""

    SCRIPT = {
        "good": STREAM_HEAD + text_chunk("a b c") + text_chunk("d e f", "stop") + USAGE + event(b"[DONE]"),
        "closed": STREAM_HEAD + text_chunk("a"),
        "http_429": refusal(429, "The queue is full."),
        "http_500": refusal(500, "A bug."),
        "bad_answer": STREAM_HEAD + text_chunk("a") + event(b'{"choices": ['),
        "error_event": STREAM_HEAD + text_chunk("a") + event({"error": {"message": "The engine failed."}}),
        "timeout": STREAM_HEAD + text_chunk("a"),
    }

    def __init__(self, script):
        self._script = script
        self._lock = threading.Lock()
        self.num_asked = 0
        self._stop = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._listener.close()

    def _accept(self):
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            while len(body) < length:
                body += connection.recv(65536)
            if not head.startswith(b"POST /v1/chat/completions "):
                connection.sendall(refusal(404, "Not here."))
                return
            with self._lock:
                kind = self._script[self.num_asked % len(self._script)]
                self.num_asked += 1
            connection.sendall(self.SCRIPT[kind])
            if kind == "timeout":
                self._stop.wait()


def test_failures_are_counted_by_kind_and_in_no_latency(tmp_path):
    kinds = list(BadServer.SCRIPT)
    with BadServer(kinds) as server:
        report, table = measure(server.url, tmp_path, "--model", "m", "--input-tokens", 16, "--num-requests",
                                3 * len(kinds), "--concurrency", 4, "--warm-up", 0, "--timeout", 1, "--slo",
                                "e2e:60000")
    errors = {kind: error["count"] for kind, error in report["errors"].items()}
    assert errors == {kind: 3 for kind in kinds if kind != "good"}
    assert report["errors"]["http_429"]["example"] == "The queue is full."
    assert report["num_ok"] == report["num_ttft"] == report["num_tpot"] == report["num_itl"] == 3
    assert report["e2e_seconds"]["p99"] < 1, "a time-out is no latency"
    # By usage: two chunks of six words have seven tokens.
    assert report["completion_tokens"] == 21 and report["num_chunks"] == 6
    assert report["goodput"]["share"] == pytest.approx(1 / len(kinds))
    assert "by words" in report["setting"]["prompts"]
    assert "error: 3 x timeout: no whole answer within 1000 ms" in table


def test_no_answer_at_all_is_a_failure():
    with BadServer(["http_500"]) as server:
        flags = ("--url", server.url, "--model", "m", "--num-requests", 2)
        warm = bench(*flags)
        assert warm.returncode == 1
        assert warm.stderr.splitlines()[-1] == (
            "runahead: no request of the warm-up was answered: http_500: A bug.")
        cold = bench(*flags, "--warm-up", 0)
        assert cold.returncode == 1
        assert cold.stderr.splitlines()[-1] == "runahead: no request was answered"
        assert "error: 2 x http_500: A bug." in cold.stdout


def test_an_interrupt_ends_with_a_report(tmp_path):
    report = tmp_path / "report.json"
    with BadServer(["good", "good", "timeout"]) as server:
        process = subprocess.Popen([BINARY, "bench", "serve", "--url", server.url, "--model", "m", "--num-requests",
                                    "9", "--concurrency", "1", "--warm-up", "0", "--json", report],
                                   stdout=subprocess.PIPE, text=True)
        wait_until(lambda: server.num_asked == 3, "the third request")
        process.send_signal(signal.SIGINT)
        table, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "The run was interrupted" in table
    result = json.loads(report.read_text())
    assert result["interrupted"] and result["num_requests"] == result["num_ok"] == 2 and result["errors"] == {}


def test_a_key_opens_the_door(tmp_path):
    with ServerProcess("--api-key", "sesame") as server:
        flags = ("--url", server.url, "--num-requests", 1, "--output-tokens", 2)
        closed = bench(*flags)
        assert closed.returncode == 1
        assert "HTTP 401" in closed.stderr
        assert bench(*flags, "--api-key", "sesame").returncode == 0
        opened = bench(*flags, "--json", "-", env={"RUNAHEAD_BENCH_API_KEY": "sesame"})
        assert opened.returncode == 0
        assert json.loads(opened.stdout)["num_ok"] == 1
        assert "sesame" not in opened.stdout


@pytest.mark.parametrize("flags, words", [
    (("--url", "localhost:8000"), "--url: \"localhost:8000\" has neither http:// nor https://"),
    (("--url", "http://127.0.0.1:1"),
     "cannot ask http://127.0.0.1:1 for its models: cannot connect: Connection refused"),
    (("--endpoint", "embeddings"), "--endpoint: must be chat or completions"),
    (("--num-requests", "0"), "--num-requests: must be at least 1"),
    (("--concurrency", "0"), "--concurrency: must be at least 1"),
    (("--rate", "-1"), "--rate: must be a number of requests per second"),
    (("--rate", "5", "--burstiness", "0"), "--burstiness: must be more than 0"),
    (("--burstiness", "2"), "--burstiness: says how requests of a --rate are spread, and there is none"),
    (("--input-tokens", "9-3"), "--input-tokens: \"9-3\" is neither a number of tokens nor a range"),
    (("--output-tokens", "0"), "--output-tokens: \"0\" is neither"),
    (("--shared-prefix", "500"), "--shared-prefix: must be between 0 and --input-tokens"),
    (("--prompts", "x.txt", "--shared-prefix", "5"), "--shared-prefix: is of synthetic prompts"),
    (("--prefix-groups", "0"), "--prefix-groups: must be at least 1"),
    (("--temperature", "-1"), "--temperature: must not be negative"),
    (("--extra-body", "{oops"), "--extra-body: is not a JSON object"),
    (("--header", "nonsense"), "--header: \"nonsense\" is not \"Name: value\""),
    (("--timeout", "0"), "--timeout: must be more than 0 seconds"),
    (("--warm-up", "-1"), "--warm-up: must not be negative"),
    (("--slo", "ttft:fast"), "--slo: \"ttft:fast\" is not"),
    (("--compare", "/nonexistent.json"), "cannot read /nonexistent.json: No such file or directory"),
    (("--compare", str(ROOT / "CMakePresets.json")), "is no report of runahead bench serve --json"),
], ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "")
def test_wrong_flags_are_said(flags, words):
    result = bench(*flags)
    assert result.returncode == 1
    assert words in result.stderr.splitlines()[-1], result.stderr


def test_a_flag_that_is_no_number_is_said():
    assert bench("--num-requests", "many").returncode != 0
    assert bench("--no-such-flag").returncode != 0
