// Reads /metrics every second while the page is visible, and notices when the server goes and comes back.

import { scrape } from "./api.js";
import * as metrics from "./metrics.js";

const PERIOD_MS = 1000;
const TIMEOUT_MS = 5000;
const KEPT_MS = 60_500;
const GAP_MS = 5000; // without a reading, as of a hidden page: what came before is another story
const SMOOTHED = 2; // seconds over which a rate is taken

const COUNTERS = {
  received: "runahead_requests_received_total",
  generated: "runahead_generated_tokens_total",
  cacheHits: "runahead_prefix_cache_hit_tokens_total",
  cacheQueries: "runahead_prefix_cache_query_tokens_total",
  drafted: "runahead_spec_decode_draft_tokens_total",
  accepted: "runahead_spec_decode_accepted_tokens_total",
  stepTokens: "runahead_spec_decode_tokens_per_step_sum",
  steps: "runahead_spec_decode_tokens_per_step_count",
};

function readingOf(text, at) {
  const families = metrics.parse(text);
  const reading = { at };
  for (const [name, series] of Object.entries(COUNTERS)) reading[name] = metrics.sum(families, series);
  reading.running = metrics.sum(families, "runahead_requests_running");
  reading.waiting = metrics.sum(families, "runahead_requests_waiting");
  reading.kv = metrics.mean(families, "runahead_kv_cache_utilization_ratio");
  reading.usedBlocks = metrics.sum(families, "runahead_kv_cache_blocks", { state: "used" });
  reading.blocks = metrics.sum(families, "runahead_kv_cache_blocks");
  reading.k = metrics.mean(families, "runahead_spec_decode_draft_length_tokens");
  reading.ttft = metrics.buckets(families, "runahead_time_to_first_token_seconds");
  return reading;
}

// {value, isRecent}: over the last minute where it saw anything, else since the server's start.
function ratio(first, last, part, whole) {
  const recent = last[whole] - first[whole];
  if (recent > 0) return { value: (last[part] - first[part]) / recent, isRecent: true };
  return { value: last[whole] > 0 ? last[part] / last[whole] : null, isRecent: false };
}

function quantiles(first, last) {
  const recent = metrics.bucketsSince(last.ttft, first.ttft);
  const isRecent = (recent.at(-1)?.[1] ?? 0) > 0;
  const list = isRecent ? recent : last.ttft;
  return { value: metrics.quantile(list, 0.5), p99: metrics.quantile(list, 0.99), isRecent };
}

// What the tiles show, from the readings kept.
function figuresOf(readings) {
  const first = readings[0];
  const last = readings.at(-1);
  const before = readings.findLast(({ at }) => last.at - at >= SMOOTHED * 1000 - 100) ?? first;
  const elapsed = (last.at - before.at) / 1000;
  return {
    tokensPerSecond: elapsed > 0 ? (last.generated - before.generated) / elapsed : 0,
    running: last.running,
    waiting: last.waiting,
    ttft: quantiles(first, last),
    kv: last.kv,
    usedBlocks: last.usedBlocks,
    blocks: last.blocks,
    hits: ratio(first, last, "cacheHits", "cacheQueries"),
    acceptance: ratio(first, last, "accepted", "drafted"),
    k: last.k,
    tokensPerStep: ratio(first, last, "stepTokens", "steps"),
  };
}

export class Live extends EventTarget {
  #readings = [];
  #timer = 0;
  #isReading = false;
  isUp = null; // not known yet

  start() {
    document.addEventListener("visibilitychange", () => this.poll());
    this.poll();
  }

  // Says once more what it finds.
  forget() {
    this.isUp = null;
  }

  // Now, and from now on every second.
  async poll() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#isReading) return;
    this.#isReading = true;
    const startedAt = performance.now();
    try {
      this.#take(readingOf(await scrape(TIMEOUT_MS), performance.now()));
      this.#say(true, "");
    } catch (error) {
      this.#say(false, error.status > 0 ? error.message : "The server cannot be reached.");
    }
    this.#isReading = false;
    this.#timer = setTimeout(() => this.poll(), Math.max(PERIOD_MS - (performance.now() - startedAt), 0));
  }

  #take(reading) {
    const last = this.#readings.at(-1);
    // Counters that fell are another process's.
    const hasRestarted = last !== undefined && (reading.received < last.received || reading.generated < last.generated);
    const isFirst = last === undefined || hasRestarted || reading.at - last.at > GAP_MS;
    if (isFirst) this.#readings = [];
    this.#readings.push(reading);
    while (reading.at - this.#readings[0].at > KEPT_MS) this.#readings.shift();
    this.dispatchEvent(new CustomEvent("figures", { detail: { ...figuresOf(this.#readings), isFirst } }));
  }

  #say(isUp, problem) {
    if (isUp === this.isUp) return;
    this.isUp = isUp;
    this.dispatchEvent(new CustomEvent(isUp ? "up" : "down", { detail: problem }));
  }
}
