"""Clients of servers behind a balancer, and what became of each of their requests."""

import json
import threading
from collections import Counter

import grpc
import httpx

from server_process import wait_until

PROMPTS = [f"{start} {thing}" for start in ("Once upon a time there was a", "Tell me about the")
           for thing in ("fox", "boat", "river", "house", "moon")]
TOKENS = 48  # of an ordinary answer
STREAM_TOKENS = 120  # long enough that a server dies with streams half sent

# What a gRPC client should be set to: a server that begins to drain says UNAVAILABLE before it says anything else, and
# CANCELLED to a call that was on its way.
GRPC_OPTIONS = [("grpc.enable_retries", 1), ("grpc.service_config", json.dumps({"methodConfig": [{
    "name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "0.5s",
                                  "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]}))]


def completion(prompt: str, **more) -> dict:
    return {"model": "demo", "prompt": prompt, "temperature": 0, "max_tokens": TOKENS, "ignore_eos": True, **more}


class Load:
    """Threads that ask without pause from entry to exit. `grpc_target` and `stubs` may be left out.

    outcomes counts "plain ok", "stream cut", "grpc failed" and the like; texts holds each prompt's plain answers.
    """

    def __init__(self, url: str, grpc_target: str = "", stubs=None, plain: int = 6, streams: int = 3, calls: int = 3):
        self.outcomes: Counter[str] = Counter()
        self.texts: dict[str, set[str]] = {}
        self.failures: list[str] = []
        self._url, self._target, self._stubs = url, grpc_target, stubs
        self._lock = threading.Lock()
        self._stop = threading.Event()
        work = [self._ask_plain] * plain + [self._ask_stream] * streams + [self._ask_grpc] * (calls if stubs else 0)
        self._threads = [threading.Thread(target=self._repeat, args=(ask, i)) for i, ask in enumerate(work)]

    def __enter__(self) -> "Load":
        self._client = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=64))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def wait_for(self, count: int) -> None:
        """Until so many more plain requests have been answered."""
        goal = self.outcomes["plain ok"] + count
        wait_until(lambda: self.outcomes["plain ok"] >= goal or self.failures, f"{count} answers")

    def _repeat(self, ask, index: int) -> None:
        i = index
        while not self._stop.is_set():
            ask(PROMPTS[i % len(PROMPTS)])
            i += 1

    def _count(self, outcome: str, detail: str = "") -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if detail:
                self.failures.append(f"{outcome}: {detail}")

    def _ask_plain(self, prompt: str) -> None:
        try:
            answer = self._client.post(f"{self._url}/v1/completions", json=completion(prompt))
        except httpx.TransportError as error:
            return self._count("plain lost", repr(error))
        if answer.status_code != 200:
            return self._count("plain lost", f"{answer.status_code} {answer.text[:200]}")
        with self._lock:
            self.texts.setdefault(prompt, set()).add(answer.json()["choices"][0]["text"])
        self._count("plain ok")

    def _ask_stream(self, prompt: str) -> None:
        body = completion(prompt, stream=True, max_tokens=STREAM_TOKENS)
        lines = []
        try:
            with self._client.stream("POST", f"{self._url}/v1/completions", json=body) as answer:
                if answer.status_code != 200:
                    return self._count("stream refused", f"{answer.status_code}")
                lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
        except httpx.TransportError:
            return self._count("stream cut")
        is_whole = bool(lines) and lines[-1] == "data: [DONE]"
        self._count("stream ok" if is_whole else "stream cut")

    def _ask_grpc(self, prompt: str) -> None:
        messages, stubs = self._stubs
        request = messages.GenerateRequest(model="demo", text=prompt)
        request.options.max_tokens = STREAM_TOKENS
        request.options.ignore_eos = True
        request.options.sampling.temperature = 0
        replies = []
        # A connection each, as most balancers balance connections.
        with grpc.insecure_channel(self._target, [*GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                for reply in stubs.InferenceServiceStub(channel).Generate(request, timeout=120):
                    replies.append(reply)
            except grpc.RpcError as error:
                if replies:
                    return self._count("grpc cut")
                return self._count("grpc lost", f"{error.code()} {error.details()}")
        is_whole = bool(replies) and replies[-1].usage.completion_tokens == STREAM_TOKENS
        self._count("grpc ok" if is_whole else "grpc cut")


def assert_answers_are(load: Load, url: str) -> None:
    """Each plain answer is what one server alone says, whoever gave it, at the first try or the third."""
    for prompt, texts in load.texts.items():
        alone = httpx.post(f"{url}/v1/completions", json=completion(prompt), timeout=120).json()["choices"][0]["text"]
        assert texts == {alone}, prompt
