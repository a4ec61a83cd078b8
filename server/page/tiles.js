// Tiles of the server's own figures, each with a small chart of the last minute.

const NAMESPACE = "http://www.w3.org/2000/svg";
const KEPT = 60;
const NONE = "\u2013";

const share = (value) => (value === null ? [NONE, ""] : [(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0), "%"]);
const when = ({ value, isRecent }) => (value === null ? "nothing yet" : isRecent ? "last minute" : "since the start");

function duration(seconds) {
  if (seconds === null) return [NONE, ""];
  const ms = 1000 * seconds;
  if (ms >= 1000) return [seconds.toFixed(2), "s"];
  return [ms.toFixed(ms < 10 ? 1 : 0), "ms"];
}

// What each tile shows: the value and its unit, a line below, the chart's point and its least full scale.
const TILES = [
  {
    id: "speed", name: "Tokens per second", isWide: true, scale: 10,
    show: (f) => [String(Math.round(f.tokensPerSecond)), "tok/s"],
    note: () => "generated, all requests",
    point: (f) => f.tokensPerSecond,
  },
  {
    id: "requests", name: "Requests", scale: 2,
    show: (f) => [String(f.running), "running"],
    note: (f) => `${f.waiting} waiting`,
    point: (f) => f.running + f.waiting,
  },
  {
    id: "ttft", name: "First token, p50", scale: 0.01,
    show: (f) => duration(f.ttft.value),
    note: (f) => (f.ttft.value === null ? "nothing yet" : `p99 ${duration(f.ttft.p99).join(" ")}`),
    point: (f) => f.ttft.value ?? 0,
  },
  {
    id: "kv", name: "KV cache", scale: 0.05,
    show: (f) => share(f.kv),
    note: (f) => `${f.usedBlocks} of ${f.blocks} blocks`,
    point: (f) => f.kv ?? 0,
  },
  {
    id: "hits", name: "Prefix hits", scale: 1,
    show: (f) => share(f.hits.value),
    note: (f) => when(f.hits),
    point: (f) => f.hits.value ?? 0,
  },
  {
    id: "acceptance", name: "Drafts accepted", scale: 1,
    show: (f) => share(f.acceptance.value),
    note: (f) => when(f.acceptance),
    point: (f) => f.acceptance.value ?? 0,
  },
  {
    id: "k", name: "Draft length k", scale: 4,
    show: (f) => (f.k === null ? [NONE, ""] : [f.k.toFixed(1), ""]),
    note: (f) => (f.tokensPerStep.value === null ? "nothing yet" : `${f.tokensPerStep.value.toFixed(2)} tokens a step`),
    point: (f) => f.k ?? 0,
  },
];

function make(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

// A line over a filled area; the newest point stands at the right edge.
class Chart {
  #line = document.createElementNS(NAMESPACE, "polyline");
  #area = document.createElementNS(NAMESPACE, "polygon");
  #points = [];

  constructor(scale) {
    this.scale = scale;
    this.element = document.createElementNS(NAMESPACE, "svg");
    this.element.setAttribute("class", "chart");
    this.element.setAttribute("viewBox", `0 0 ${KEPT - 1} 30`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("aria-hidden", "true");
    this.#area.setAttribute("class", "chart-area");
    this.#line.setAttribute("class", "chart-line");
    this.element.append(this.#area, this.#line);
  }

  clear() {
    this.#points = [];
  }

  push(value) {
    this.#points.push(value);
    if (this.#points.length > KEPT) this.#points.shift();
    const top = Math.max(this.scale, ...this.#points);
    const first = KEPT - this.#points.length;
    const line = this.#points.map((point, i) => `${first + i},${(29 - (27 * point) / top).toFixed(2)}`).join(" ");
    this.#line.setAttribute("points", line);
    this.#area.setAttribute("points", `${first},30 ${line} ${KEPT - 1},30`);
  }
}

export class Tiles {
  #tiles = [];

  constructor(list) {
    for (const tile of TILES) {
      const element = make("div", tile.isWide ? "tile wide" : "tile");
      element.id = `tile-${tile.id}`;
      const name = make("dt", "tile-name");
      name.textContent = tile.name;
      const body = make("dd", "tile-body");
      const value = make("span", "tile-value");
      const unit = make("span", "tile-unit");
      const note = make("span", "tile-note");
      const chart = new Chart(tile.scale);
      value.textContent = NONE;
      body.append(value, unit, note, chart.element);
      element.append(name, body);
      list.append(element);
      this.#tiles.push({ tile, value, unit, note, chart });
    }
    this.list = list;
  }

  show(figures) {
    this.list.classList.remove("stale");
    for (const { tile, value, unit, note, chart } of this.#tiles) {
      [value.textContent, unit.textContent] = tile.show(figures);
      note.textContent = tile.note(figures);
      if (figures.isFirst) chart.clear();
      chart.push(tile.point(figures));
    }
  }

  // The last figures stay, but no longer look alive.
  stop() {
    this.list.classList.add("stale");
  }
}
