"""What a panel is, and the few forms of query that panels are made of."""

from dataclasses import dataclass, field

# Grafana fills these in; `$__rate_interval` is at least four scrapes long.
SELECTED = 'model=~"$model", instance=~"$instance"'
WINDOW = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    title: str
    meaning: str  # shown when the pointer rests on the panel
    queries: list[Query]
    unit: str = "short"
    kind: str = "timeseries"  # or stat, bargauge, heatmap
    width: int = 8  # of 24 columns
    height: int = 8
    stacked: bool = False
    colors: dict[str, str] = field(default_factory=dict)  # by legend
    highest: float | None = None
    lowest: float | None = 0
    # Of a stat: (from this value on, color), the first from minus infinity on.
    thresholds: list[tuple[float | None, str]] = field(default_factory=lambda: [(None, "green")])
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # of a stat's values: text, color
    is_instant: bool = False


@dataclass(frozen=True)
class Row:
    title: str
    panels: list[Panel]


def series(name: str, more: str = "") -> str:
    return f"{name}{{{SELECTED}{', ' + more if more else ''}}}"


def total(name: str, by: str = "", more: str = "") -> str:
    """Sum of a gauge."""
    return f"sum{f' by ({by}) ' if by else ''}({series(name, more)})"


def rate(name: str, by: str = "", more: str = "", window: str = WINDOW) -> str:
    """A counter's growth by second."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({series(name, more)}[{window}]))"


def share(part: str, whole: str) -> str:
    """Of two rates; nothing where there was nothing."""
    return f"{part} / ({whole} > 0)"


def mean(histogram: str) -> str:
    return share(rate(histogram + "_sum"), rate(histogram + "_count"))


def quantile(q: float, histogram: str) -> str:
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', by='le')})"


def quantiles(histogram: str, at: tuple[float, ...] = (0.5, 0.9, 0.99)) -> list[Query]:
    return [Query(quantile(q, histogram), f"p{q * 100:g}") for q in at]
