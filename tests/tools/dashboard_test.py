"""The dashboard's JSON is the list of panels, fits the grid, and asks, as the rules do, only for what the server exports.

python -m pytest tests/tools/dashboard_test.py
"""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.dashboard.__main__ import FILE  # noqa: E402
from tools.dashboard.grafana import COLUMNS, place  # noqa: E402
from tools.dashboard.panel import Row  # noqa: E402
from tools.dashboard.panels import ROWS  # noqa: E402
from tools.write_metrics_doc import HEADER, entries  # noqa: E402

RULES = ROOT / "docker/prometheus/rules"
OF_EVERY_SERIES = {"model", "instance", "job", "le"}


def exported() -> dict[str, set[str]]:
    """Sample name to the labels it carries beside those of every series."""
    samples = {"up": set()}
    for name, kind, labels, _ in entries(HEADER):
        for ending in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            samples[name + ending] = set(re.findall(r"\w+", labels))
    return samples


def rules() -> list[dict]:
    return [rule for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]
            for rule in group["rules"]]


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in json.loads(FILE.read_text())["panels"] for target in panel.get("targets", [])]


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """(name, labels) of everything an expression reads."""
    found = re.findall(r"((?:runahead[_:]|\bup\b)[\w:]*)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*=", labels))) for name, labels in found]


def test_it_is_up_to_date():
    assert subprocess.run([sys.executable, "-m", "tools.dashboard", "--check"], cwd=ROOT).returncode == 0


def test_it_is_what_grafana_reads():
    dashboard = json.loads(FILE.read_text())
    assert dashboard["uid"] == "runahead"
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "model", "instance"}
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["description"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(set(refs)) == len(refs)
        legends = {query["legendFormat"] for query in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            patterns = [re.sub(r"\\\{\\\{\w+\\\}\\\}", r"\\w+", re.escape(legend)) for legend in legends]
            assert any(re.fullmatch(pattern, name) for pattern in patterns), f"{panel['title']} has no line '{name}'"


def test_no_two_panels_overlap():
    cells = set()
    for item, x, y in place(ROWS):
        width, height = (COLUMNS, 1) if isinstance(item, Row) else (item.width, item.height)
        taken = set(itertools.product(range(x, x + width), range(y, y + height)))
        assert x + width <= COLUMNS
        assert not taken & cells, item.title
        cells |= taken


def test_panels_and_rules_read_only_what_exists():
    samples = exported()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = panel_expressions() + [rule["expr"] for rule in rules()]
    assert len(expressions) > 60
    for expression in expressions:
        read = selectors(expression)
        assert read, expression
        for name, labels in read:
            if name in recorded:
                assert labels <= {"model"}, expression
                continue
            assert name in samples, f"{name} is exported by nobody: {expression}"
            assert labels <= samples[name] | OF_EVERY_SERIES, f"{name} has no such label: {expression}"


def test_every_series_of_the_server_is_shown_alerted_on_or_known_to_be_neither():
    """A new series should find its panel, or its place in this list."""
    detail = {"runahead_request_prompt_tokens", "runahead_request_generated_tokens", "runahead_request_computed_prompt_tokens",
              "runahead_request_longest_choice_tokens", "runahead_request_max_tokens", "runahead_request_choices",
              "runahead_request_inference_seconds", "runahead_request_time_per_token_seconds", "runahead_build_info",
              "runahead_inter_chunk_seconds", "runahead_spec_decode_acceptance_length_tokens",
              "runahead_spec_decode_drafts_total"}
    read = {name for expression in panel_expressions() + [rule["expr"] for rule in rules()]
            for name, _ in selectors(expression)}
    unread = {name for name, _, _, _ in entries(HEADER) if not any(sample.startswith(name) for sample in read)}
    assert unread == detail


def test_objectives_are_bounds_of_buckets():
    """A quantile between two buckets is a guess; the objective's limit must not be one."""
    bounds = re.search(r"kFirstTokenBounds\[\] = \{(.*?)\}", (ROOT / "engine/metrics.cc").read_text(), re.S).group(1)
    limits = {limit for rule in rules() for limit in re.findall(r'le=~"([^"|]+)[|]', rule["expr"])}
    assert limits == {"1"}
    assert limits <= set(re.findall(r"[\d.]+", bounds))
