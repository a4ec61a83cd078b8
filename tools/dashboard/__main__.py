"""Writes docker/grafana/dashboards/runahead.json from panels.py; with --check only says whether it is up to date.

python -m tools.dashboard [--check]
"""

import json
import sys
from pathlib import Path

from .grafana import dashboard
from .panels import ROWS

FILE = Path(__file__).resolve().parents[2] / "docker/grafana/dashboards/runahead.json"


def main() -> int:
    text = json.dumps(dashboard(ROWS), indent=1) + "\n"
    if "--check" in sys.argv:
        if not FILE.exists() or FILE.read_text() != text:
            print("docker/grafana/dashboards/runahead.json is not what python -m tools.dashboard writes")
            return 1
        return 0
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
