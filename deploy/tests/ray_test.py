"""The Ray Serve application with two replicas of the demo model: affinity, and kills under load."""

import os
import signal
import socket
from collections import Counter

import httpx
import psutil
import pytest
import ray
from ray import serve

from balanced_load import Load, assert_answers_are
from server_process import BINARY, DEMO_MODEL, ServerProcess, wait_until
import runahead_app


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def servers() -> list[psutil.Process]:
    """The `runahead serve` processes whose parents are replicas, that is, ours."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if line[:2] == [str(BINARY), "serve"] and "-1" in line:
            found.append(process)
    return found


def are_whole() -> bool:
    status = serve.status().applications["runahead"]
    return status.status == "RUNNING" and status.deployments["RunaheadServer"].replica_states == {"RUNNING": 2} \
        and len(servers()) == 2


@pytest.fixture(scope="module")
def url():
    # Loopback alone; Ray's own CPU count is what it schedules by, not what there is.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(runahead_app.app({"binary": str(BINARY), "flags": f"--model {DEMO_MODEL} --threads 1"}), name="runahead")
    wait_until(are_whole, "two replicas")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


def complete(url: str, prompt: str) -> tuple[str, dict]:
    """(replica, usage)"""
    answer = httpx.post(f"{url}/v1/completions", timeout=120,
                        json={"model": "demo", "prompt": prompt, "max_tokens": 4, "temperature": 0})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-runahead-replica"], answer.json()["usage"]


def test_requests_that_begin_alike_meet(url):
    """Eight conversations of five turns: each stays with the replica it began on, and both replicas have some."""
    seen: dict[str, list[str]] = {}
    cached = 0
    for turn in range(5):
        for name in ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal"):
            # 2048 characters that differ from the first, and then each turn's own.
            beginning = (f"{name} had a fox and a boat. " * 120)[:2100]
            replica, usage = complete(url, beginning + f"Turn {turn}.")
            seen.setdefault(name, []).append(replica)
            cached += usage["prompt_tokens_details"]["cached_tokens"]
    stayed = sum(len(set(replicas)) == 1 for replicas in seen.values())
    print(f"\n{stayed} of 8 conversations on one replica; "
          f"by replica {dict(Counter(replicas[-1] for replicas in seen.values()))}; {cached} prompt tokens cached")
    # Where a prefix is known spreads within moments, not at once: one may move.
    assert stayed >= 6
    assert len({replica for replicas in seen.values() for replica in replicas}) == 2


def test_what_the_server_says_passes_unchanged(url):
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "demo"
    refused = httpx.post(f"{url}/v1/completions", json={"model": "demo", "prompt": "x", "max_tokens": -1})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "max_tokens"
    broken = httpx.post(f"{url}/v1/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    assert httpx.get(f"{url}/metrics").status_code == 404, "nobody's counts pass for everybody's"


@pytest.mark.parametrize("victim", ["replica", "server"])
def test_a_kill_under_load_loses_no_answer(url, victim):
    load = Load(url)
    with load:
        load.wait_for(40)
        server = servers()[0]
        killed = server.parent() if victim == "replica" else server
        os.kill(killed.pid, signal.SIGKILL)
        load.wait_for(40)
        wait_until(lambda: are_whole() or load.failures, "whole again")
        load.wait_for(20)
    print(f"\none of two killed ({victim}): {dict(load.outcomes)}")
    assert load.failures == []
    assert load.outcomes["stream cut"] <= 3 and load.outcomes["stream ok"] > 0
    assert not psutil.pid_exists(server.pid) or server.status() == psutil.STATUS_ZOMBIE
    with ServerProcess() as alone:
        assert_answers_are(load, alone.url)
