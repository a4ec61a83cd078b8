"""Writes docs/metrics.md from the two lists of names in server/; with --check only says whether it is up to date."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "server/metric_names.h"
VLLM_HEADER = ROOT / "server/vllm_metric_names.h"
DOC = ROOT / "docs/metrics.md"

STRING = r'"((?:[^"\\]|\\.)*)"'
ENTRY = re.compile(rf"MetricInfo k\w+ = \{{((?:{STRING}|[^\"}}])*)\}};", re.S)
OMITTED = re.compile(rf"OmittedMetric\{{\s*{STRING},\s*{STRING}\}}", re.S)
INTRO = """# Metrics

`GET /metrics` gives these series as Prometheus text. Every series but `runahead_build_info` carries the label
`model`. This page is written by `tools/write_metrics_doc.py` from `server/metric_names.h` and
`server/vllm_metric_names.h`; a test compares them. docs/observability.md has the dashboard and the alerts.

At every scrape, because the counts of a model are taken together under one lock:

    requests_received = finished{stop,length} + rejected{reason} + cancelled{phase} + expired{phase}
                        + failed + waiting + running

where `waiting` and `running` are counted from the queue and the running set. A request with n choices is one
request. Histogram buckets of times resolve 1 ms and less.

The series of drafts have vLLM's names behind `runahead_spec_decode_`. By drafter, the counts by position add up to the
totals, and the histogram of acceptance lengths has as many entries as there were drafts and their accepted tokens as its sum.
The share of drafts that is accepted, and the tokens a step gives a sequence:

    sum(rate(runahead_spec_decode_accepted_tokens_total[5m])) / sum(rate(runahead_spec_decode_draft_tokens_total[5m]))
    rate(runahead_spec_decode_tokens_per_step_sum[5m]) / rate(runahead_spec_decode_tokens_per_step_count[5m])

They count what the engine did; a request's `usage` ends at its stop string, and what was accepted behind it is also among the
discarded tokens.

The ledger's two series say what speculation brings. Its balance is what speculation has cost less what it saved, out of the
decode time it has booked, so the same tokens without drafts would have taken `booked - loss`, and the speed-up is

    1 - delta(runahead_spec_decode_loss_seconds[5m]) / increase(runahead_spec_decode_booked_seconds_total[5m])

"""
TABLE = """| name | type | labels | meaning |
|---|---|---|---|
"""
VLLM = """
## vLLM's names: `--metrics-compat vllm`

Dashboards, autoscalers and gateways that know vLLM's series find them beside ours, of the same type, with the same labels
(`model_name` and `engine` unless said) and buckets. Both dialects are made of the same snapshot, so that at every scrape
they agree; where a meaning differs from vLLM's, the table says how. The Gateway API inference extension needs
`vllm:num_requests_waiting`, `vllm:num_requests_running`, `vllm:kv_cache_usage_perc`, `vllm:cache_config_info` and, for
adapters, `vllm:lora_requests_info`.

    num_requests_waiting + num_requests_running + sum(request_success_total)
        = runahead_requests_received_total - sum(runahead_requests_rejected_total)

Buckets of request sizes end at the model's longest context, at most 1,000,000. A request with n choices is one request
in every series; vLLM enters each choice as a request of its own.

"""
VLLM_OMITTED = """
Left out, because we could only fill them with something that is not so:

| name | reason |
|---|---|
"""


def entries(header: Path) -> list[tuple[str, str, str, str]]:
    """(name, kind, labels, help) of each series, in the header's order."""
    found = []
    for match in ENTRY.finditer(header.read_text()):
        strings = re.findall(STRING, match.group(1))
        kind = re.search(r"\bk(Counter|Gauge|Histogram)\b", match.group(1)).group(1).lower()
        found.append((strings[0], kind, strings[1], "".join(strings[2:])))
    return found


def table(header: Path) -> str:
    rows = [f"| `{name}` | {kind} | {labels or '-'} | {text} |\n" for name, kind, labels, text in entries(header)]
    assert len(rows) == header.read_text().count("MetricInfo k"), f"{header.name} has entries of another form"
    return TABLE + "".join(rows)


def main() -> int:
    omitted = OMITTED.findall(VLLM_HEADER.read_text())
    assert omitted, "no omitted series were found"
    page = INTRO + table(HEADER) + VLLM + table(VLLM_HEADER) + VLLM_OMITTED
    page += "".join(f"| `{name}` | {reason} |\n" for name, reason in omitted)
    if "--check" in sys.argv:
        if not DOC.exists() or DOC.read_text() != page:
            print("docs/metrics.md is not what tools/write_metrics_doc.py writes")
            return 1
        return 0
    DOC.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
