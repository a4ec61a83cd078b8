"""Writes docs/metrics.md from server/metric_names.h; with --check only says whether it is up to date."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "server/metric_names.h"
DOC = ROOT / "docs/metrics.md"

ENTRY = re.compile(r"MetricInfo k\w+ = \{\s*((?:[^;])*?)\};", re.S)
INTRO = """# Metrics

`GET /metrics` gives these series as Prometheus text. Every series but `runahead_build_info` carries the label
`model`. This page is written by `tools/write_metrics_doc.py` from `server/metric_names.h`; a test compares the two.

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

| name | type | labels | meaning |
|---|---|---|---|
"""


def entries() -> list[tuple[str, str, str, str]]:
    """(name, kind, labels, help) of each series, in the header's order."""
    found = []
    for match in ENTRY.finditer(HEADER.read_text()):
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(1))
        kind = re.search(r"\bk(Counter|Gauge|Histogram)\b", match.group(1)).group(1).lower()
        found.append((strings[0], kind, strings[1], "".join(strings[2:])))
    return found


def main() -> int:
    rows = [f"| `{name}` | {kind} | {labels or '-'} | {text} |" for name, kind, labels, text in entries()]
    assert len(rows) > 20, "the header's form changed: no series were found"
    page = INTRO + "\n".join(rows) + "\n"
    if "--check" in sys.argv:
        if not DOC.exists() or DOC.read_text() != page:
            print("docs/metrics.md is not what tools/write_metrics_doc.py writes")
            return 1
        return 0
    DOC.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
