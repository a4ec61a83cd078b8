"""Draws the dashboard's panels as one PNG, laid out as Grafana lays them out, from what was read of a Prometheus."""

import io
import math
import re

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402
from matplotlib.colors import LinearSegmentedColormap, LogNorm  # noqa: E402
from matplotlib.patches import FancyBboxPatch  # noqa: E402
from PIL import Image  # noqa: E402

from .grafana import COLUMNS, place  # noqa: E402
from .panel import Panel, Row  # noqa: E402

# A line is a legend and its points (seconds since the start, value), NaN where there was none.
Line = tuple[str, list[tuple[float, float]]]

COLUMN, UNIT, GAP, MARGIN, TITLE = 60, 27, 8, 14, 56  # pixels
BACKGROUND, SURFACE, BORDER, TEXT, FAINT, GRID = "#111217", "#181b1f", "#2b2e35", "#d5d6df", "#8e909c", "#26292f"
NAMED = {"green": "#73bf69", "yellow": "#fade2a", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2",
         "purple": "#b877d9"}
PALETTE = ["#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37c2c9", "#8e8e8e"]
HEAT = LinearSegmentedColormap.from_list("heat", ["#1f2a4d", "#2f6db5", "#37c2c9", "#a5d65f", "#fade2a", "#ff7a2f"])
RED_TO_GREEN = LinearSegmentedColormap.from_list("gauge", ["#f2495c", "#fade2a", "#73bf69"])


def legend_of(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template)


def text_of(value: float, unit: str) -> str:
    """A value as Grafana writes it."""
    if not math.isfinite(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.3g}%" if value < 0.995 else f"{value * 100:.0f}%"
    if unit == "s":
        for factor, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {name}"
        return "0 s"
    for factor, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{name}"
    ending = {"reqps": " req/s", "suffix:x": "x"}.get(unit, "")
    return (f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}") + ending


def color_of(panel: Panel, legend: str, index: int) -> str:
    color = panel.colors.get(legend, PALETTE[index % len(PALETTE)])
    return NAMED.get(color, color)


def with_palette(image: Image.Image) -> Image.Image:
    """256 colours, a third of the bytes. Chosen by how many pixels have them, but the page's own come first: few pixels are
    text."""
    own = [BACKGROUND, SURFACE, BORDER, TEXT, FAINT, GRID, *NAMED.values(), *PALETTE]
    fixed = [int(color[i:i + 2], 16) for color in dict.fromkeys(own) for i in (1, 3, 5)]
    common = image.quantize(256 - len(fixed) // 3, method=Image.Quantize.MEDIANCUT).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette((fixed + common)[:768])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


class Picture:
    def __init__(self, rows: list[Row], lines: dict[str, list[Line]], note: str):
        self._placed, self._lines = place(rows), lines
        height_units = max(y + (1 if isinstance(item, Row) else item.height) for item, _, y in self._placed)
        self._width, self._height = COLUMNS * COLUMN + 2 * MARGIN, height_units * UNIT + TITLE + MARGIN
        self._figure = pyplot.figure(figsize=(self._width / 100, self._height / 100), dpi=100, facecolor=BACKGROUND)
        self._text(MARGIN + 4, TITLE / 2, "Runahead", size=17, weight="bold")
        self._text(self._width - MARGIN - 4, TITLE / 2, note, size=10.5, color=FAINT, ha="right")

    def save(self, path) -> None:
        for item, x, y in self._placed:
            left, top = MARGIN + x * COLUMN, TITLE + y * UNIT
            if isinstance(item, Row):
                self._text(left + 4, top + UNIT / 2, f"▾  {item.title}", size=11.5, weight="bold")
            else:
                self._panel(item, left, top, item.width * COLUMN - GAP, item.height * UNIT - GAP)
        buffer = io.BytesIO()
        self._figure.savefig(buffer, facecolor=BACKGROUND)
        with_palette(Image.open(buffer).convert("RGB")).save(path, optimize=True)

    def _text(self, x: float, y: float, text: str, size: float, color=TEXT, ha="left", va="center", weight="normal"):
        self._figure.text(x / self._width, 1 - y / self._height, text, fontsize=size * 0.8, color=color, ha=ha, va=va,
                          fontweight=weight)

    def _axes(self, left: float, top: float, width: float, height: float):
        axes = self._figure.add_axes((left / self._width, 1 - (top + height) / self._height, width / self._width,
                                      height / self._height), facecolor="none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(colors=FAINT, labelsize=8, length=0, pad=4)
        return axes

    def _panel(self, panel: Panel, left: float, top: float, width: float, height: float) -> None:
        box = FancyBboxPatch((left / self._width, 1 - (top + height) / self._height), width / self._width,
                             height / self._height, boxstyle="round,pad=0,rounding_size=0.0025", linewidth=1,
                             edgecolor=BORDER, facecolor=SURFACE, transform=self._figure.transFigure, zorder=-1)
        self._figure.add_artist(box)
        self._text(left + 12, top + 17, panel.title, size=12, weight="medium")
        lines = self._lines[panel.title]
        draw = {"stat": self._stat, "bargauge": self._bars, "heatmap": self._heat}.get(panel.kind, self._graph)
        draw(panel, lines, left, top, width, height)

    def _stat(self, panel: Panel, lines: list[Line], left, top, width, height) -> None:
        values = [value for _, value in lines[0][1] if math.isfinite(value)]
        last = values[-1] if values else math.nan
        if panel.names:
            text, color = panel.names.get(int(last), ("–", FAINT))
        else:
            text = text_of(last, panel.unit)
            color = [c for start, c in panel.thresholds if start is None or last >= start][-1]
        color = NAMED.get(color, color)
        self._text(left + width / 2, top + height * 0.52, text, size=24, color=color, ha="center", weight="medium")
        if panel.names or len(values) < 2:
            return
        axes = self._axes(left + 1, top + height * 0.70, width - 2, height * 0.29)
        times, points = zip(*lines[0][1])
        axes.fill_between(times, points, color=color, alpha=0.22, linewidth=0)
        axes.plot(times, points, color=color, linewidth=1)
        axes.set_xlim(times[0], times[-1])
        axes.set_ylim(0, max(values) * 1.1 or 1)
        axes.axis("off")

    def _graph(self, panel: Panel, lines: list[Line], left, top, width, height) -> None:
        axes = self._axes(left + 62, top + 34, width - 76, height - 88)
        lines = [line for line in lines if any(math.isfinite(value) for _, value in line[1])]
        colors = [color_of(panel, legend, i) for i, (legend, _) in enumerate(lines)]
        times = [time for time, _ in lines[0][1]]
        points = [np.array([value for _, value in line[1]]) for line in lines]
        if panel.stacked:
            axes.stackplot(times, *[np.nan_to_num(p) for p in points], colors=colors, alpha=0.55, linewidth=0)
            edges = np.cumsum([np.nan_to_num(p) for p in points], axis=0)
            for p, edge, color in zip(points, edges, colors):  # nothing has no edge: it would hide the one below
                axes.plot(times, np.where(np.nan_to_num(p) > 0, edge, math.nan), color=color, linewidth=0.9)
        else:
            for p, color in zip(points, colors):
                axes.plot(times, p, color=color, linewidth=1.3)
                axes.fill_between(times, p, color=color, alpha=0.07, linewidth=0)
        self._scale(axes, panel, times)
        self._legend(panel, lines, colors, left, top + height - 15, width)

    def _scale(self, axes, panel: Panel, times: list[float]) -> None:
        axes.set_xlim(times[0], times[-1])
        if panel.lowest is not None:
            axes.set_ylim(bottom=panel.lowest)
        if panel.highest is not None:
            axes.set_ylim(top=panel.highest)
        axes.grid(True, color=GRID, linewidth=0.8)
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
        axes.yaxis.set_major_formatter(lambda value, _: text_of(value, panel.unit))
        self._clock(axes)

    @staticmethod
    def _clock(axes) -> None:
        axes.xaxis.set_major_locator(ticker.MultipleLocator(30))
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{int(seconds) // 60}:{int(seconds) % 60:02d}")

    def _legend(self, panel: Panel, lines: list[Line], colors: list[str], left, y, width) -> None:
        """With the last values where there is room for them."""
        names = [legend for legend, _ in lines]
        lasts = [text_of([value for _, value in points if math.isfinite(value)][-1], panel.unit) for _, points in lines]
        size, gap = (10, 10) if len(lines) <= 4 else (9, 3)

        def length(text: str) -> float:
            return 20 + (0.6 if size == 10 else 0.56) * size * len(text) + gap

        texts = [f"{name}  {last}" for name, last in zip(names, lasts)]
        if sum(map(length, texts)) > width - 14:
            texts = names
        x = left + 14
        for text, color in zip(texts, colors):
            self._text(x, y - 1, "▬", size=11, color=color)
            self._text(x + 16, y, text, size=size, color=FAINT)
            x += length(text)

    def _bars(self, panel: Panel, lines: list[Line], left, top, width, height) -> None:
        axes = self._axes(left + 14, top + 52, width - 28, height - 84)
        values = [points[-1][1] for _, points in lines]
        at = np.arange(len(lines))
        axes.bar(at, [panel.highest or max(values)] * len(lines), width=0.72, color="#22252b")
        axes.bar(at, values, width=0.72, color=[RED_TO_GREEN(value / (panel.highest or 1)) for value in values])
        for x, value in zip(at, values):
            axes.text(x, (panel.highest or max(values)) * 1.03, f"{value * 100:.0f}%", ha="center", va="bottom",
                      fontsize=8.5, color=TEXT)
        axes.set_xticks(at, [legend for legend, _ in lines])
        axes.set_yticks([])
        axes.set_ylim(0, panel.highest)

    def _heat(self, panel: Panel, lines: list[Line], left, top, width, height) -> None:
        axes = self._axes(left + 62, top + 34, width - 76, height - 66)
        lines = sorted((line for line in lines if line[0] != "+Inf"), key=lambda line: float(line[0]))
        bounds = [float(legend) for legend, _ in lines]
        times = [time for time, _ in lines[0][1]]
        cumulative = np.nan_to_num(np.array([[value for _, value in line[1]] for line in lines]))
        cells = np.diff(cumulative, axis=0, prepend=0)
        used = np.flatnonzero(cells.max(axis=1) > 1e-9)
        low, high = max(used[0] - 1, 0), min(used[-1] + 2, len(bounds))
        shown = np.ma.masked_less_equal(cells[low:high], 1e-9)
        edges = [bounds[low - 1] if low else bounds[0] / 2] + bounds[low:high]
        axes.pcolormesh(times + [times[-1] + times[1] - times[0]], np.arange(len(edges)), shown, cmap=HEAT,
                        norm=LogNorm(max(float(shown.min()), 0.02), float(shown.max())), rasterized=True)
        ticks = range(0, len(edges), max(1, len(edges) // 6))
        axes.set_yticks(list(ticks), [text_of(edges[i], "s") for i in ticks])
        axes.set_xlim(times[0], times[-1])
        self._clock(axes)
