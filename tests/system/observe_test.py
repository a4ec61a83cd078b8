"""What operators see, by a real Prometheus: it takes the project's configuration and rules, every panel of the dashboard
and every rule has data of a loaded server behind it, and vLLM's names say what ours say at every scrape."""

import math
import re
import shutil
import subprocess
import sys
import threading
import time

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from server_process import ROOT, ServerProcess, assert_metrics_reconcile, wait_until

sys.path.insert(0, str(ROOT))
from tools.dashboard.panels import ROWS  # noqa: E402
from tools.dashboard.prometheus import BINARY, CONFIG, PrometheusProcess, filled_in  # noqa: E402
from tools.dashboard.traffic import WEIGHTS, Traffic  # noqa: E402

needs_prometheus = pytest.mark.skipif(BINARY is None, reason="prometheus is not installed (scripts/deps.sh test)")
SERVE = ("--draft-model", str(ROOT / "models/demo/draft"), "--threads", "1", "--metrics-compat", "vllm")
WINDOW = "10s"

# Panels (title, legend) that may rightly be empty in a short run of a healthy server: none.
MAY_BE_EMPTY: set[tuple[str, str]] = set()


def families(server: ServerProcess) -> dict:
    text = httpx.get(f"{server.url}/metrics", timeout=120).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(scrape: dict, sample: str, **labels: str) -> float:
    """Sum over the series of one sample name ("x_total", "x_sum") whose labels include these."""
    found = [s.value for family in scrape.values() for s in family.samples
             if s.name == sample and labels.items() <= s.labels.items()]
    assert found, f"no series {sample} {labels}"
    return sum(found)


def assert_dialects_agree(scrape: dict) -> None:
    def ours(name, **labels):
        return value(scrape, f"runahead_{name}", **labels)

    def vllm(name, **labels):
        return value(scrape, f"vllm:{name}", **labels)

    same = {
        "num_requests_running": "requests_running", "num_requests_waiting": "requests_waiting",
        "num_requests_waiting_by_reason": "requests_waiting", "kv_cache_usage_perc": "kv_cache_utilization_ratio",
        "num_preemptions_total": "preemptions_total", "prefix_cache_queries_total": "prefix_cache_query_tokens_total",
        "prefix_cache_hits_total": "prefix_cache_hit_tokens_total", "prompt_tokens_total": "prompt_tokens_total",
        "prompt_tokens_cached_total": "cached_prompt_tokens_total", "prompt_tokens_by_source_total": "prompt_tokens_total",
        "generation_tokens_total": "generated_tokens_total", "spec_decode_num_drafts_total": "spec_decode_drafts_total",
        "spec_decode_num_draft_tokens_total": "spec_decode_draft_tokens_total",
        "spec_decode_num_accepted_tokens_total": "spec_decode_accepted_tokens_total",
        "spec_decode_num_accepted_tokens_per_pos_total": "spec_decode_accepted_tokens_total"}
    for theirs, native in same.items():
        assert vllm(theirs) == ours(native), theirs
    histograms = {
        "time_to_first_token_seconds": "time_to_first_token_seconds", "inter_token_latency_seconds": "inter_chunk_seconds",
        "request_time_per_output_token_seconds": "request_time_per_token_seconds",
        "e2e_request_latency_seconds": "request_e2e_seconds", "request_queue_time_seconds": "request_queue_seconds",
        "request_inference_time_seconds": "request_inference_seconds",
        "request_prefill_time_seconds": "request_prefill_seconds", "request_decode_time_seconds": "request_decode_seconds",
        "request_prompt_tokens": "request_prompt_tokens", "request_generation_tokens": "request_generated_tokens",
        "request_max_num_generation_tokens": "request_longest_choice_tokens",
        "request_params_max_tokens": "request_max_tokens",
        "request_prefill_kv_computed_tokens": "request_computed_prompt_tokens",
        "iteration_tokens_total": "step_batch_tokens", "request_params_n": "request_choices"}
    for theirs, native in histograms.items():
        assert vllm(theirs + "_count") == ours(native + "_count"), theirs
        assert vllm(theirs + "_sum") == ours(native + "_sum"), theirs
        for sample in scrape["vllm:" + theirs].samples:
            if sample.name.endswith("_bucket"):
                assert sample.value == ours(native + "_bucket", le=sample.labels["le"]), (theirs, sample.labels)
    ended = {"stop": ours("requests_finished_total", reason="stop"), "error": ours("requests_failed_total"),
             "length": ours("requests_finished_total", reason="length"), "repetition": 0,
             "abort": ours("requests_cancelled_total") + ours("requests_expired_total")}
    for reason, count in ended.items():
        assert vllm("request_success_total", finished_reason=reason) == count, reason
    placed = vllm("request_success_total") + vllm("num_requests_waiting") + vllm("num_requests_running")
    assert placed == ours("requests_received_total") - ours("requests_rejected_total")
    assert vllm("admission_rejections_total") == ours("requests_rejected_total", reason="queue_full")


class Scraper:
    """Scrapes while it is entered, as fast as the server answers, and holds every scrape to the two dialects' equality."""

    def __init__(self, server: ServerProcess):
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.num_scrapes = 0
        self.faults: list[str] = []

    def __enter__(self) -> "Scraper":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.2):
            try:
                assert_dialects_agree(families(self._server))
                self.num_scrapes += 1
            except Exception as error:  # a thread's exception would be lost
                self.faults.append(repr(error))


@pytest.fixture(scope="module")
def server():
    with ServerProcess(*SERVE) as process:
        yield process


@pytest.fixture(scope="module")
def observed(server, tmp_path_factory):
    """(Prometheus, when the load began), after enough of every kind of traffic was scraped."""
    with PrometheusProcess(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{server.http_port}", "500ms") as prometheus:
        begin = time.time()
        with Traffic(server.url, "demo", num_clients=3) as traffic, Scraper(server) as scraper:
            wait_until(lambda: all(traffic.num_sent[kind] >= 2 for kind in WEIGHTS), "traffic of every kind")
            # Rates need two scrapes that both saw the series, and rules two evaluations.
            wait_until(lambda: counted(prometheus, "count_over_time(up[10m])") >= 20 and not unevaluated(prometheus),
                       "twenty scrapes, and every rule evaluated")
        assert not traffic.unexpected
        assert not scraper.faults and scraper.num_scrapes > 5
        yield prometheus, begin


def counted(prometheus: PrometheusProcess, expression: str) -> float:
    return sum(float(series["value"][1]) for series in prometheus.query(expression))


def rules(prometheus: PrometheusProcess) -> list[dict]:
    return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]


def unevaluated(prometheus: PrometheusProcess) -> list[str]:
    return [rule["name"] for rule in rules(prometheus) if rule["health"] == "unknown"]


def has_value(result: list[dict]) -> bool:
    return any(math.isfinite(float(value)) for series in result for _, value in series["values"])


@needs_prometheus
def test_every_panel_has_data(observed):
    prometheus, begin = observed
    end = time.time()
    empty = []
    for panel in [panel for row in ROWS for panel in row.panels]:
        for query in panel.queries:
            expression = filled_in(query.expression, WINDOW, f"{int(end - begin)}s")
            if not has_value(prometheus.query_range(expression, begin, end, 1)):
                empty.append((panel.title, query.legend))
    assert set(empty) == MAY_BE_EMPTY


@needs_prometheus
def test_every_rule_is_evaluated_and_has_what_it_reads(observed):
    prometheus, _ = observed
    loaded = rules(prometheus)
    assert len(loaded) == sum(len(group["rules"]) for file in (CONFIG / "rules").glob("*.yml")
                              for group in yaml.safe_load(file.read_text())["groups"])
    for rule in loaded:
        assert rule["health"] == "ok", rule
        if rule["type"] == "recording":
            assert prometheus.query(rule["name"]), f"{rule['name']} is empty"
        for name in re.findall(r"\b(?:runahead[_:][\w:]+|up)\b(?=[{\[ )]|$)", rule["query"]):
            assert prometheus.query(name), f"{rule['name']} reads {name}, which has no series"


@needs_prometheus
def test_a_healthy_server_raises_no_alarm_about_its_health(observed):
    prometheus, _ = observed
    # Latency and errors are this traffic's and this machine's; these are not.
    never = {"RunaheadTargetDown", "RunaheadEngineFailed", "RunaheadEngineStuck", "RunaheadQueueNearLimit"}
    states = {rule["name"]: rule["state"] for rule in rules(prometheus) if rule["type"] == "alerting"}
    assert never <= states.keys()
    assert {states[name] for name in never} == {"inactive"}


@needs_prometheus
def test_prometheus_reads_every_series(observed, server):
    """The official client reads the scrape; a real Prometheus stores each of its series under the same type."""
    prometheus, _ = observed
    assert not [line for line in prometheus.log().splitlines() if "level=error" in line or "level=warn" in line]
    metadata = prometheus.get("targets/metadata", match_target='{job="runahead"}')
    stored = {entry["metric"]: entry["type"] for entry in metadata}
    for family in families(server).values():
        name = family.name + "_total" if family.type == "counter" else family.name
        assert stored[name] == family.type


def test_the_dialects_agree_after_traffic(server):
    with Traffic(server.url, "demo", num_clients=2, seed=1) as traffic:
        wait_until(lambda: sum(traffic.num_sent.values()) > 30, "thirty requests")
    assert not traffic.unexpected
    scrape = families(server)
    assert_dialects_agree(scrape)
    assert value(scrape, "vllm:spec_decode_num_accepted_tokens_total") > 0
    assert value(scrape, "vllm:prefix_cache_hits_total") > 0
    assert_metrics_reconcile(server.metrics())


def test_gateways_find_what_they_need(server):
    """The model server protocol of the Gateway API inference extension: types, labels, and that they can be told apart."""
    scrape = families(server)
    for name in ("num_requests_waiting", "num_requests_running", "kv_cache_usage_perc", "cache_config_info",
                 "lora_requests_info"):
        assert scrape["vllm:" + name].type == "gauge"
    [config] = scrape["vllm:cache_config_info"].samples
    assert config.value == 1
    assert int(config.labels["block_size"]) == 16
    blocks = value(scrape, "runahead_kv_cache_blocks")
    assert int(config.labels["num_gpu_blocks"]) == blocks
    [lora] = scrape["vllm:lora_requests_info"].samples
    assert abs(lora.value - time.time()) < 3600
    assert lora.labels == {"max_lora": "0", "running_lora_adapters": "", "waiting_lora_adapters": ""}
    [running] = scrape["vllm:num_requests_running"].samples
    assert running.labels == {"model_name": "demo", "engine": "0"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (scripts/deps.sh test)")
def test_configuration_and_rules_are_as_promtool_wants_them():
    subprocess.run(["promtool", "check", "config", str(CONFIG / "prometheus.yml")], check=True)
    tests = sorted(str(path) for path in (ROOT / "tests/docker").glob("prometheus_*_test.yml"))
    assert len(tests) == 2
    result = subprocess.run(["promtool", "test", "rules", *tests], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tested_both_ways_and_explained():
    alerts = [rule["alert"] for group in yaml.safe_load((CONFIG / "rules/alerts.yml").read_text())["groups"]
              for rule in group["rules"]]
    cases = [case for path in (ROOT / "tests/docker").glob("prometheus_*_test.yml")
             for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs/observability.md").read_text(), re.M))
    assert set(alerts) == fires
    assert set(alerts) <= headings
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert set(alerts) - silent == {"RunaheadFirstTokenBudgetBurnsSlowly"}, "that one stays silent for two of three models"
