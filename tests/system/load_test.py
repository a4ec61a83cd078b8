"""Many clients at once: all are served, memory stays flat, and the counts are the clients' own."""

import asyncio
import os
import random

from server_process import ENDLESS_TOKENS, ServerProcess, assert_metrics_reconcile, endless_flags, wait_until
from sse_client import stream_chat

QUESTIONS = ["What is the opposite of hot?", "Count from 1 to 10.", "Tell me a short story.", "Spell the word tree.",
             "What is 3 plus 4?", "Name three colours."]


def body(index: int, **fields) -> dict:
    return {"model": "demo", "messages": [{"role": "user", "content": QUESTIONS[index % len(QUESTIONS)]}],
            "temperature": 1, "seed": index, "max_tokens": 24, "ignore_eos": True, **fields}


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


async def wave(server: ServerProcess, num_clients: int, first: int = 0):
    return await asyncio.gather(*(stream_chat("127.0.0.1", server.http_port, body(first + i))
                                  for i in range(num_clients)))


def is_flat(resident: list[int]) -> bool:
    """4 KiB lost with each of the 1 024 requests of four rounds would show. (A sanitizer keeps what was freed.)"""
    if os.environ.get("RUNAHEAD_SANITIZE"):
        return len(resident) >= 4
    return len(resident) >= 6 and resident[-1] < resident[-5] + (3 << 20)


def test_256_streams_all_finish_and_memory_gets_flat():
    """How much is in flight at its peak, and so kept by the allocator, is a matter of luck: a few rounds decide it."""
    # A cache small enough that the first rounds touch every page of it: later growth is a leak.
    with ServerProcess("--kv-cache-bytes", str(48 << 20)) as server:
        resident = []
        while not is_flat(resident):
            results = asyncio.run(wave(server, 256))
            assert [r.error for r in results] == [""] * 256
            assert all(r.finish_reason == "length" and r.usage["completion_tokens"] == 24 for r in results)
            resident.append(resident_bytes(server.process.pid))
            assert len(resident) < 40, resident
        assert_metrics_reconcile(server.metrics())


def test_an_answer_does_not_depend_on_who_else_is_served(server):
    alone = [asyncio.run(stream_chat("127.0.0.1", server.http_port, body(i))).text for i in range(8)]
    together = [r.text for r in asyncio.run(wave(server, 96))]
    assert together[:8] == alone
    assert len(set(together)) > 8, "seeds must matter"


async def chaos(server: ServerProcess, num_clients: int):
    """Clients that finish, hang up, ask for nonsense or run into a deadline, and a scraper beside them."""
    dice = random.Random(7)
    endless = {"model": "endless", "max_tokens": ENDLESS_TOKENS}
    scrapes = []

    async def client(index: int):
        kind = dice.choice(["finish", "finish", "hang_up", "invalid", "expire"])
        if kind == "hang_up":
            await stream_chat("127.0.0.1", server.http_port, body(index, **endless), hang_up_after=2)
        elif kind == "invalid":
            await stream_chat("127.0.0.1", server.http_port, body(index, model="endless", temperature=9))
        elif kind == "expire":
            await stream_chat("127.0.0.1", server.http_port, body(index, **endless, timeout=0.1))
        else:
            assert (await stream_chat("127.0.0.1", server.http_port, body(index, model="endless"))).error == ""
        return kind

    async def scraper(stop: asyncio.Event):
        while not stop.is_set() or len(scrapes) < 6:
            scrapes.append(await asyncio.to_thread(server.metrics))
            await asyncio.sleep(0.01)

    stop = asyncio.Event()
    scraping = asyncio.create_task(scraper(stop))
    kinds = await asyncio.gather(*(client(i) for i in range(num_clients)))
    stop.set()
    await scraping
    return kinds, scrapes


def in_flight(server: ServerProcess) -> float:
    return server.metric("runahead_requests_running") + server.metric("runahead_requests_waiting")


def test_counts_reconcile_at_every_scrape_and_with_the_clients(endless_model):
    with ServerProcess(*endless_flags(), model=endless_model) as server:
        kinds, scrapes = asyncio.run(chaos(server, 120))
        for metrics in scrapes:
            assert_metrics_reconcile(metrics)
        # A client that hung up is noticed at the next step, not at the instant it does.
        wait_until(lambda: in_flight(server) == 0, "all ended")
        assert server.metric("runahead_requests_received_total") == len(kinds)
        assert server.metric("runahead_requests_rejected_total", reason="invalid") == kinds.count("invalid")
        assert server.metric("runahead_requests_cancelled_total") == kinds.count("hang_up")
        assert server.metric("runahead_requests_expired_total") == kinds.count("expire")
        assert server.metric("runahead_requests_finished_total") == kinds.count("finish")


def test_a_planted_lost_count_would_be_noticed(server):
    metrics = server.metrics()
    metrics["runahead_requests_running{model=\"demo\"}"] += 1
    try:
        assert_metrics_reconcile(metrics)
    except AssertionError:
        return
    raise AssertionError("the check cannot fail")
