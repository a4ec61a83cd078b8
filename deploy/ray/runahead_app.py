"""Ray Serve application: replicas that each run one `runahead serve`, behind a balancer that knows prefixes.

    pip install -r deploy/ray/requirements.txt
    cd deploy/ray && serve run runahead_app:app replicas=2 flags="--model /models/NAME --threads 4"

Requests that begin alike go to the replica whose prefix cache has that beginning. Until its first byte has been passed
on, a request whose replica dies goes to another; an answer that is not streamed is passed on only when it is whole.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator

import httpx
from ray import serve
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

ATTEMPTS = 6
# Hop by hop, or made anew by whoever sends.
OWN_HEADERS = {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
PREFIX_CHARACTERS = 2048
PREFIXES_PER_REPLICA = 256
START_TIMEOUT_S = 600


class ServerGone(Exception):
    """The server behind a replica did not answer to the end."""


# What a replica that dies, drains or is full looks like from outside.
ELSEWHERE = (ServerGone, RayActorError, NodeDiedError, ObjectLostError, WorkerCrashedError, ReplicaUnavailableError,
             BackPressureError)


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In the child: a replica that is killed takes its server along. Linux ties this to the thread that forks."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def passed_on(headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in OWN_HEADERS]


@serve.deployment(max_ongoing_requests=256, health_check_period_s=2, health_check_timeout_s=5,
                  graceful_shutdown_timeout_s=45)
class RunaheadServer:
    """Owns one server process, on a free port of the loopback interface."""

    def __init__(self, command: list[str]):
        self._log = tempfile.TemporaryFile("w+")
        self._exit_code: int | None = None
        self._is_started = False
        threading.Thread(target=self._run, args=(command,), daemon=True).start()
        self._url = self._wait_until_ready()
        print(f"runahead: {self._url}")
        self._client = httpx.AsyncClient(base_url=self._url, timeout=httpx.Timeout(600, connect=5),
                                         limits=httpx.Limits(max_connections=None))
        self._name = serve.get_replica_context().replica_id.unique_id
        self._is_started = True

    def _read_log(self) -> str:
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")  # the offset is the server's

    def _wait_until_ready(self) -> str:
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._exit_code is not None:
                raise RuntimeError(f"runahead ended with {self._exit_code}:\n{self._read_log()}")
            printed = re.search(r"^Serving .* on (http://127\.0\.0\.1:\d+) ", self._read_log(), re.MULTILINE)
            try:
                if printed and httpx.get(f"{printed[1]}/ready", timeout=5).status_code == 200:
                    return printed[1]
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"runahead was not ready in {START_TIMEOUT_S} s:\n{self._read_log()}")

    def _run(self, command: list[str]) -> None:
        """The server's whole life. Without it a replica would answer every request at once, with an error, and so seem
        idle: then it ends too, and Serve makes another.
        """
        try:
            process = subprocess.Popen([*command, "--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "-1"],
                                       stdout=self._log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
            self._exit_code = process.wait()
        except OSError as failure:
            self._log.write(repr(failure))
            self._log.flush()
            self._exit_code = 127
        if self._is_started:
            os._exit(1)

    async def check_health(self) -> None:
        answer = await self._client.get("/health")
        if answer.status_code != 200:
            raise RuntimeError(f"/health says {answer.status_code} {answer.text}")

    @serve.multiplexed(max_num_models_per_replica=PREFIXES_PER_REPLICA)
    async def _remember(self, prefix: str) -> str:
        """Tells Serve's router that this replica has seen this prefix; the oldest are forgotten."""
        return prefix

    async def forward(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> AsyncIterator:
        """First (status, headers), then the answer's bytes as they come."""
        if prefix := serve.get_multiplexed_model_id():
            await self._remember(prefix)
        try:
            async with self._client.stream(method, target, headers=headers, content=body) as answer:
                yield answer.status_code, [*passed_on(answer.headers), ("x-runahead-replica", self._name)]
                async for chunk in answer.aiter_raw():
                    yield chunk
        except httpx.TransportError as error:
            raise ServerGone(repr(error)) from None


def read_body(body: bytes) -> dict:
    try:
        fields = json.loads(body)
    except ValueError:
        return {}  # the server says what is wrong with it
    return fields if isinstance(fields, dict) else {}


def prefix_of(fields: dict) -> str:
    """Equal for requests that begin alike: a conversation's turns, prompts with one long beginning. "": no matter."""
    messages, prompt = fields.get("messages"), fields.get("prompt")
    if isinstance(messages, list):
        first_question = next((i for i, m in enumerate(messages) if isinstance(m, dict) and m.get("role") == "user"), 0)
        beginning = json.dumps(messages[:first_question + 1])
    elif prompt:
        beginning = json.dumps(prompt)[:PREFIX_CHARACTERS]
    else:
        return ""
    told_apart = [fields.get("model"), fields.get("cache_salt"), beginning]
    return hashlib.blake2b(json.dumps(told_apart).encode(), digest_size=12).hexdigest()


def error(status: int, message: str, code: str) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status,
                        {"Retry-After": "1"} if status == 503 else None)


@serve.deployment(max_ongoing_requests=4096)
class Balancer:
    """The door. Keeps a request until an answer to it has begun (streams) or is whole (all others)."""

    def __init__(self, servers: DeploymentHandle):
        self._servers = servers.options(method_name="forward", stream=True)

    async def __call__(self, request: Request) -> Response:
        if request.url.path == "/metrics":  # one replica's counts would pass for all of them
            return error(404, "ask each replica's own server for its metrics; Ray's log names its port", "not_found")
        body = await request.body()
        fields = read_body(body)
        servers = self._servers.options(multiplexed_model_id=prefix_of(fields))
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        asked = (request.method, target, passed_on(request.headers), body)
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt > 0:
                await asyncio.sleep(0.05 * 2 ** attempt)
            try:
                parts = servers.remote(*asked).__aiter__()
                status, headers = await anext(parts)
                if status == 503 and attempt + 1 < ATTEMPTS:  # it drains: others may not
                    why = "503"
                    continue
                if fields.get("stream"):
                    return answer_with(StreamingResponse(parts, status), headers)
                return answer_with(Response(b"".join([part async for part in parts]), status), headers)
            except ELSEWHERE as failure:
                why = repr(failure)
        return error(503, f"no replica answered in {ATTEMPTS} attempts; the last: {why}", "unavailable")


def answer_with(response: Response, headers: list[tuple[str, str]]) -> Response:
    for name, value in headers:
        response.headers[name] = value
    return response


def app(args: dict[str, str]) -> serve.Application:
    """replicas, cpus (of each, for Ray's scheduling), binary, and `flags` of `runahead serve`."""
    binary = args.get("binary") or os.environ.get("RUNAHEAD_BINARY", "runahead")
    servers = RunaheadServer.options(num_replicas=int(args.get("replicas", 2)),
                                     ray_actor_options={"num_cpus": float(args.get("cpus", 1))})
    return Balancer.bind(servers.bind([binary, "serve", *shlex.split(args.get("flags", ""))]))
