// Reads the server's Prometheus text. Pure functions: no page, no clock.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

function valueOf(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

// Name -> list of {labels, value}.
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) labels[name] = value;
    if (!families.has(match[1])) families.set(match[1], []);
    families.get(match[1]).push({ labels, value: valueOf(match[3]) });
  }
  return families;
}

// Sum over a family's series that have all of `labels`.
export function sum(families, name, labels = {}) {
  let total = 0;
  for (const series of families.get(name) ?? []) {
    const fits = Object.entries(labels).every(([key, value]) => series.labels[key] === value);
    if (fits) total += series.value;
  }
  return total;
}

// Mean over a family's series: a gauge of several models.
export function mean(families, name) {
  const count = families.get(name)?.length ?? 0;
  return count === 0 ? null : sum(families, name) / count;
}

// [[upper bound, cumulative count], ...] in rising order, over all series of the family.
export function buckets(families, name) {
  const counts = new Map();
  for (const { labels, value } of families.get(`${name}_bucket`) ?? []) {
    const bound = valueOf(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort((a, b) => a[0] - b[0]);
}

// What came between two readings of the same buckets.
export function bucketsSince(after, before) {
  return after.map(([bound, count], i) => [bound, count - (before[i]?.[1] ?? 0)]);
}

// As Prometheus's histogram_quantile: linear within a bucket, the last finite bound beyond it. Null without entries.
export function quantile(list, q) {
  const total = list.length === 0 ? 0 : list[list.length - 1][1];
  if (!(total > 0)) return null;
  const rank = q * total;
  const index = list.findIndex(([, count]) => count >= rank);
  const [upper, count] = list[index];
  if (upper === Infinity) return index > 0 ? list[index - 1][0] : null;
  const [lower, below] = index > 0 ? list[index - 1] : [0, 0];
  return count === below ? upper : lower + ((upper - lower) * (rank - below)) / (count - below);
}
