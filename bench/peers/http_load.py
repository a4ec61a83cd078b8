"""A closed loop of streamed completions against any server with OpenAI's /v1/completions."""

import asyncio
import json
import random
import time
from dataclasses import dataclass

# Ids that every shape's vocabulary has and that are no control tokens anywhere.
FIRST_ID, LAST_ID = 1000, 31000
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Traffic:
    """`requests` of shared + own tokens in and `output` out, `streams` at once."""
    name: str
    shared: int
    own: int
    output: int
    requests: int = 32
    streams: int = 8

    @property
    def context(self) -> int:
        return self.shared + self.own + self.output


TRAFFIC = {t.name: t for t in (Traffic("unique", 0, 128, 64), Traffic("shared+128", 512, 128, 64),
                               Traffic("shared+32", 512, 32, 64))}


def prompts(traffic: Traffic, takes_ids: bool, seed: int) -> list:
    """Other prompts for every seed, so that no turn finds what an earlier one left in a cache."""
    source = random.Random(seed)

    def some(count: int) -> list:
        return [source.randint(FIRST_ID, LAST_ID) if takes_ids else source.choice(LETTERS) for _ in range(count)]

    shared = some(traffic.shared)
    made = [shared + some(traffic.own) for _ in range(traffic.requests)]
    return made if takes_ids else ["".join(prompt) for prompt in made]


@dataclass
class Answer:
    first: float = 0  # seconds from sending to the first token
    gaps: tuple = ()  # between chunks after it


@dataclass
class Outcome:
    tokens_per_second: float
    ttft_p50: float  # seconds
    itl_p50: float


async def _complete(port: int, body: dict) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        payload = json.dumps(body).encode()
        start = time.perf_counter()
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(payload) + payload)
        await writer.drain()
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"{status.decode().strip()}: {(await reader.read(2000)).decode(errors='replace')}")
        times, ended_by, counted = [], None, 0
        async for line in reader:
            if not line.startswith(b"data: "):
                continue
            data = line[6:].strip()
            if data == b"[DONE]":
                break
            if b'"error"' in data:
                raise RuntimeError(data.decode())
            # The last chunk says why it ended, and may bring nothing.
            chunk = json.loads(data)
            counted = (chunk.get("usage") or {}).get("completion_tokens", counted)
            for choice in chunk.get("choices", []):
                ended_by = choice.get("finish_reason") or ended_by
                if choice.get("text") or choice.get("finish_reason") is None:
                    times.append(time.perf_counter())
        # ik_llama.cpp says "stop" where the limit ended it.
        is_whole = ended_by == "length" or max(counted, len(times)) >= body["max_tokens"]
        if not times or not is_whole:
            raise RuntimeError(f"a stream of {len(times)} chunks ended by {ended_by!r}, not by its length")
        return Answer(times[0] - start, tuple(b - a for a, b in zip(times, times[1:])))
    finally:
        writer.close()


async def _all(port: int, bodies: list[dict], streams: int) -> list[Answer]:
    gate = asyncio.Semaphore(streams)

    async def one(body: dict) -> Answer:
        async with gate:
            return await _complete(port, body)

    return await asyncio.gather(*(one(body) for body in bodies))


def run(port: int, traffic: Traffic, takes_ids: bool, seed: int) -> Outcome:
    bodies = [{"model": "model", "prompt": prompt, "max_tokens": traffic.output, "temperature": 0, "stream": True,
               "stream_options": {"include_usage": True}, "ignore_eos": True}
              for prompt in prompts(traffic, takes_ids, seed)]
    start = time.perf_counter()
    answers = asyncio.run(_all(port, bodies, traffic.streams))
    seconds = time.perf_counter() - start
    gaps = sorted(gap for answer in answers for gap in answer.gaps)
    firsts = sorted(answer.first for answer in answers)
    return Outcome(traffic.requests * traffic.output / seconds, firsts[len(firsts) // 2],
                   gaps[len(gaps) // 2] if gaps else 0.0)
