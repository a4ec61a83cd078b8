"""Everything the program writes, to a disk that is full: a clear error and a failure, but no dead server."""

import os
import resource
import signal
import subprocess

import pytest

import patient_http as http
from server_process import BINARY, DEMO_MODEL, wait_until

BENCH = ("bench", "--model", str(DEMO_MODEL), "--num-requests", "1", "--concurrency", "1", "--input-tokens", "4",
         "--output-tokens", "2")


def run(*arguments, stdout=subprocess.DEVNULL, **options):
    return subprocess.run([BINARY, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300,
                          **options)


def last_line(result):
    return result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("command", [("plan", "--model", str(DEMO_MODEL)), ("inspect", str(DEMO_MODEL)), BENCH,
                                     (*BENCH, "--json", "-")], ids=lambda c: f"{c[0]}{c[-1] if c[-1] == '-' else ''}")
def test_what_cannot_be_printed_is_a_failure(command):
    with open("/dev/full", "w") as full:
        result = run(*command, stdout=full)
    assert result.returncode == 1
    assert last_line(result) == "runahead: cannot write to standard output: is the disk full?"


def test_a_report_for_a_full_disk_is_a_failure():
    result = run(*BENCH, "--json", "/dev/full")
    assert result.returncode == 1
    assert last_line(result) == "runahead: cannot write /dev/full: No space left on device"


def test_a_report_that_grows_beyond_what_is_left_is_a_failure(tmp_path):
    """A limit on the size of files stands in for the disk: it cuts a write in the middle, too."""
    report = tmp_path / "report.json"
    result = run(*BENCH, "--json", str(report), restore_signals=False,  # Python ignores SIGXFSZ; so shall the child
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256)))
    assert result.returncode == 1
    assert last_line(result) == f"runahead: cannot write {report}: File too large"


def test_a_report_where_nothing_can_be_written_is_a_failure():
    result = run(*BENCH, "--json", "/nonexistent/report.json")
    assert result.returncode == 1
    assert last_line(result) == "runahead: cannot write /nonexistent/report.json: No such file or directory"


def test_a_checkpoint_that_does_not_fit_leaves_nothing(tmp_path):
    result = run("quantize", "--model", str(DEMO_MODEL), "--output", str(tmp_path / "small"), "--quantization", "int8",
                 restore_signals=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert result.returncode == 1
    assert last_line(result) == f"runahead: cannot write {tmp_path}/small.partial/model.safetensors: File too large"
    assert not list(tmp_path.iterdir())


def listening_port(pid):
    """Of the only TCP socket the process listens on; None until there is one."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    ports = [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    return ports[0] if ports else None


def test_a_server_outlives_its_log():
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([BINARY, "serve", "--model", DEMO_MODEL, "--host", "127.0.0.1", "--http-port", "0",
                                    "--grpc-port", "-1", "--log-level", "debug"], stdout=full, stderr=full)
    try:
        wait_until(lambda: listening_port(process.pid) is not None, "listening")
        url = f"http://127.0.0.1:{listening_port(process.pid)}"
        for _ in range(3):  # each logs the seed it drew; waits in the backlog until the model is loaded
            answer = http.post(url + "/v1/completions", json={"model": "demo", "prompt": "a", "max_tokens": 2,
                                                              "temperature": 1})
            assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        process.wait()
