"""What measurements of engines that took turns amount to. Pure functions."""

from dataclasses import dataclass, field
from statistics import median

from bench.peers.measurement import Measurement


@dataclass(frozen=True)
class Spread:
    """A median, and how far apart the values were."""
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        return Spread(median(values), min(values), max(values))

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}-{self.high:.{digits}f}]"


def ratios(ours: list[float], theirs: list[float]) -> Spread:
    """Ours over theirs, round by round: both of a round met the same minute."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds of ours, {len(theirs)} of theirs")
    return Spread.of([a / b for a, b in zip(ours, theirs)])


@dataclass
class Row:
    """One measurement by all engines: tokens a second of each round."""
    measurement: Measurement
    speeds: dict[str, list[float]] = field(default_factory=dict)
    bandwidths: list[float] = field(default_factory=list)  # bytes a second, measured before each round
    peaks: list[float] = field(default_factory=list)  # operations a second of the type's own instructions


@dataclass(frozen=True)
class Weights:
    """What an engine's step reads."""
    bytes: int
    count: int
    head: int = 0  # of count: the head's, which a prompt needs for its last row alone

    @property
    def bits_each(self) -> float:
        return 8 * self.bytes / self.count


def floor_seconds(measurement: Measurement, weights: Weights, bandwidth: float, peak: float) -> float:
    """The least a step could take at nine tenths of the bandwidth, or 65 % of the peak where that is more."""
    head_rows = 1 if measurement.kind == "prefill" else measurement.rows
    operations = 2 * ((weights.count - weights.head) * measurement.rows + weights.head * head_rows)
    return max(weights.bytes / (0.9 * bandwidth), operations / (0.65 * peak))


def over_floor(row: Row, name: str, weights: Weights) -> Spread:
    """An engine's time over that floor, round by round."""
    values = []
    for speed, bandwidth, peak in zip(row.speeds[name], row.bandwidths, row.peaks, strict=True):
        values.append(row.measurement.rows / speed / floor_seconds(row.measurement, weights, bandwidth, peak))
    return Spread.of(values)


def share_of_bandwidth(row: Row, name: str, weights: Weights) -> Spread:
    """Bytes of weights a second over the bandwidth of the same round, of a step of any number of rows."""
    rows = row.measurement.rows
    return Spread.of([weights.bytes * speed / rows / bandwidth
                      for speed, bandwidth in zip(row.speeds[name], row.bandwidths, strict=True)])


def ratio_per_byte(row: Row, ours: str, theirs: str, weights: dict[str, Weights]) -> Spread:
    """The ratio of what both read in a second: whoever has smaller weights is ahead by that much less."""
    scale = weights[ours].bytes / weights[theirs].bytes
    spread = ratios(row.speeds[ours], row.speeds[theirs])
    return Spread(spread.median * scale, spread.low * scale, spread.high * scale)


def row_name(measurement: Measurement) -> str:
    if measurement.kind == "decode":
        return f"decode, batch {measurement.rows}, context {measurement.context}"
    if measurement.kind == "verify":
        return f"step of {measurement.rows} rows of one sequence"
    return f"prefill {measurement.rows}"


def shown(measurement: Measurement, speeds: list[float]) -> str:
    if measurement.counts_time:
        return Spread.of([1e3 * measurement.rows / speed for speed in speeds]).text(1) + " ms"
    return Spread.of(speeds).text(1) + " tok/s"


def tables(rows: list[Row], ours: str, weights: dict[str, Weights]) -> str:
    """Markdown: engines with their bits, each row with ratios, and how near ours is to what the machine can do."""
    peers = [name for name in weights if name != ours]
    lines = ["| engine | bits per weight |", "|---|---|"]
    lines += [f"| {name} | {weights[name].bits_each:.2f} |" for name in weights]
    lines += ["", "| row | " + " | ".join([ours, *peers]) + " | " + " | ".join(f"over {name}" for name in peers)
              + " | read GB/s |", "|---|" + "---|" * (2 * len(peers) + 2)]
    for row in rows:
        cells = [shown(row.measurement, row.speeds[name]) for name in (ours, *peers)]
        cells += [ratios(row.speeds[ours], row.speeds[name]).text(2) for name in peers]
        cells.append(Spread.of([1e-9 * value for value in row.bandwidths]).text(0))
        lines.append(f"| {row_name(row.measurement)} | " + " | ".join(cells) + " |")
    one = next((r for r in rows if r.measurement.kind == "decode" and r.measurement.rows == 1), None)
    if one is not None and peers:
        per_byte = ", ".join(f"{ratio_per_byte(one, ours, name, weights).text(2)} {name}" for name in peers)
        lines += ["", f"Batch 1 per byte of weights, {ours} over: {per_byte}."]
    return "\n".join(lines + ["", *bounds(rows, ours, weights)])


def bounds(rows: list[Row], ours: str, weights: dict[str, Weights]) -> list[str]:
    lines = [f"| {ours} | weights read, of bandwidth | time over max(bytes / 0.9 bandwidth, ops / 0.65 peak) | "
             "over 1 row |", "|---|---|---|---|"]
    for row in rows:
        m = row.measurement
        share, growth = "", ""
        if m.kind != "prefill":  # a prompt is bound by operations
            share = share_of_bandwidth(row, ours, weights[ours]).text(2)
            one = next((r for r in rows if (r.measurement.kind, r.measurement.rows, r.measurement.context) ==
                        (m.kind, 1, m.context)), None)
            if one is not None:
                growth = Spread.of([m.rows * first / many for first, many in
                                    zip(one.speeds[ours], row.speeds[ours], strict=True)]).text(2)
        lines.append(f"| {row_name(m)} | {share} | {over_floor(row, ours, weights[ours]).text(2)} | "
                     f"{growth} |")
    return lines
