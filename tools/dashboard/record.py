"""Loads a running server, lets Prometheus scrape it, and draws the dashboard of what it saw.

runahead serve --model models/demo/target --draft-model models/demo/draft --max-num-seqs 12 --max-queue 24 &
python -m tools.dashboard.record --url http://127.0.0.1:8000 --seconds 200 --output docs/images/dashboard.png

--data FILE keeps what was read; with the file there and without --url only the drawing is done again.
Needs prometheus, matplotlib and httpx (scripts/venv --tools).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from .panels import ROWS
from .picture import Line, Picture, legend_of
from .prometheus import PrometheusProcess, filled_in
from .traffic import Traffic

WINDOW = "12s"
# (share of the time, clients, pause between a client's requests in seconds): quiet, busy, more than fits, busy again.
PHASES = [(0.2, 2, 0.25), (0.3, 6, 0.05), (0.2, 44, 0.0), (0.3, 5, 0.1)]


def load(url: str, model: str, seconds: float) -> float:
    """When the load was over: clients then finish what they began."""
    with Traffic(url, model, max(clients for _, clients, _ in PHASES)) as traffic:
        for share, clients, pause in PHASES:
            traffic.set_load(clients, pause)
            time.sleep(share * seconds)
        end = time.time()
    for text in traffic.unexpected[:10]:
        print("unexpected:", text)
    return end


def read(prometheus: PrometheusProcess, begin: float, end: float, step: float) -> dict[str, list[Line]]:
    """Of every panel, by title, its lines on one grid of times."""
    times = [begin + i * step for i in range(int((end - begin) / step) + 1)]
    lines: dict[str, list[Line]] = {}
    for panel in [panel for row in ROWS for panel in row.panels]:
        lines[panel.title] = []
        for query in panel.queries:
            expression = filled_in(query.expression, WINDOW, f"{int(end - begin)}s")
            result = (prometheus.query(expression, end) if panel.is_instant
                      else prometheus.query_range(expression, times[0], times[-1], step))
            for series in result:
                values = [series["value"]] if panel.is_instant else series["values"]
                known = {round(float(at), 3): float(value) for at, value in values}
                grid = [end] if panel.is_instant else times
                points = [(round(at - begin, 3), known.get(round(at, 3), float("nan"))) for at in grid]
                lines[panel.title].append((legend_of(query.legend, series["metric"]), points))
        lines[panel.title].sort(key=lambda line: line[0] if panel.is_instant else "")
    return lines


def record(url: str, model: str, seconds: float) -> dict[str, list[Line]]:
    with tempfile.TemporaryDirectory() as directory, \
            PrometheusProcess(Path(directory), urlsplit(url).netloc, "1s") as prometheus:
        time.sleep(5)
        begin = time.time()
        end = load(url, model, seconds)
        return read(prometheus, begin, end, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", help="of the running server")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--data", type=Path, help="where what was read is kept, as JSON")
    parser.add_argument("--note", default="the demo pair on two CPU cores")
    parser.add_argument("--output", type=Path, required=True, help="a PNG")
    given = parser.parse_args()
    if given.url:
        lines = record(given.url, given.model, given.seconds)
        if given.data:
            given.data.write_text(json.dumps(lines))
    else:
        lines = json.loads(given.data.read_text())
    given.output.parent.mkdir(parents=True, exist_ok=True)
    Picture(ROWS, lines, given.note).save(given.output)


if __name__ == "__main__":
    main()
