// One answer on the page: its text as it comes, what it took, and what can be done with it.

import { TokenView } from "./tokens.js";

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function icon(name) {
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(NAMESPACE, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function button(name, label, onClick) {
  const element = make("button", "quiet small");
  element.type = "button";
  element.append(icon(name), make("span", "", label));
  element.addEventListener("click", onClick);
  return element;
}

const STATS_PERIOD_MS = 100;

const seconds = (ms) => (ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`);
const ENDS = { length: "cut at the limit", stopped: "stopped" }; // a whole answer needs no word

// [name, value, explanation] of what is known.
function factsOf(stats) {
  const facts = [];
  const { usage } = stats;
  const drafts = usage?.speculation;
  if (stats.tokensPerSecond) {
    facts.push(["speed", `${stats.tokensPerSecond.toFixed(0)} tokens/s`, "of the whole time, from sending to the last text"]);
  }
  if (stats.firstMs) facts.push(["first token", seconds(stats.firstMs), "from sending to the first text"]);
  if (usage) facts.push(["tokens", String(usage.completion_tokens), `after ${usage.prompt_tokens} of prompt`]);
  if (drafts?.drafted_tokens > 0) {
    const { accepted_tokens: accepted, drafted_tokens: drafted } = drafts;
    facts.push(["accepted", `${((100 * accepted) / drafted).toFixed(0)} %`, `${accepted} of ${drafted} drafts`]);
  }
  if (drafts?.target_steps > 0) {
    const perStep = usage.completion_tokens / drafts.target_steps;
    facts.push(["tokens a step", perStep.toFixed(2), `${drafts.target_steps} steps of the model`]);
  }
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  if (cached > 0) facts.push(["cached", String(cached), "tokens of the prompt taken from the prefix cache"]);
  if (stats.end in ENDS) facts.push(["end", ENDS[stats.end], "why the answer ended"]);
  return facts;
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP from another machine is no secure context, and has only the old way.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("The browser does not let the page copy.");
}

export class AnswerView {
  #turn;
  #body = make("div", "answer-text");
  #stats = make("dl", "stats");
  #actions = make("div", "actions");
  #problem = make("p", "problem");
  #startedAt = 0;
  #lastAt = 0;
  #shownAt = 0;

  // `turn` is the conversation's record, which this fills. `onRegenerate` asks for another answer in its place.
  constructor(turn, { announce, onRegenerate }) {
    this.#turn = turn;
    this.#problem.setAttribute("role", "alert");
    this.#problem.hidden = true;
    this.view = new TokenView(this.#body);
    const foot = make("footer", "answer-foot");
    foot.append(this.#stats, this.#actions);
    this.element = make("li", "turn answer");
    this.element.append(make("p", "author", turn.model), this.#body, this.#problem, foot);
    const copy = button("copy", "Copy", async () => {
      const label = copy.querySelector("span");
      try {
        await copyText(turn.text);
        label.textContent = "Copied";
      } catch (error) {
        label.textContent = "Copying failed";
        announce(error.message);
        return;
      }
      announce("Copied");
    });
    copy.addEventListener("blur", () => (copy.querySelector("span").textContent = "Copy"));
    const again = button("again", "Regenerate", onRegenerate);
    again.classList.add("regenerate");
    this.#actions.append(copy, again);
  }

  // From the conversation's record, after a reload.
  restore() {
    this.view.restore(this.#turn.pieces);
    this.#finish();
  }

  start() {
    this.#startedAt = performance.now();
    this.element.classList.add("busy");
    this.element.setAttribute("aria-busy", "true");
  }

  take(chunk) {
    const turn = this.#turn;
    const choice = chunk.choices[0];
    if (choice) this.#takeChoice(choice);
    if (chunk.usage && this.#lastAt > this.#startedAt) {
      turn.stats.usage = chunk.usage;
      turn.stats.tokensPerSecond = (1000 * chunk.usage.completion_tokens) / (this.#lastAt - this.#startedAt);
    }
    // No reader needs them more often, and thousands of chunks a second may come.
    if (performance.now() - this.#shownAt > STATS_PERIOD_MS) this.#showStats();
  }

  #takeChoice(choice) {
    const turn = this.#turn;
    const text = choice.delta.content ?? "";
    const tokens = choice.logprobs?.content ?? [];
    if (text !== "" || tokens.length > 0) this.#noteTime();
    turn.text += text;
    if (text !== "") this.view.addText(text);
    tokens.forEach((entry, i) => this.view.addToken(entry, choice.drafted_by?.[i] ?? null));
    if (choice.finish_reason) turn.stats.end = choice.finish_reason;
  }

  // `end`: "stopped" where the reader stopped it, else null. `error`: what went wrong, or null.
  end(stopped, error) {
    if (stopped) this.#turn.stats.end = "stopped";
    this.#turn.error = error?.message ?? null;
    this.#turn.pieces = this.view.pieces;
    this.#finish();
  }

  #noteTime() {
    this.#lastAt = performance.now();
    this.#turn.stats.firstMs ??= this.#lastAt - this.#startedAt;
  }

  #showStats() {
    this.#shownAt = performance.now();
    this.#stats.replaceChildren(
      ...factsOf(this.#turn.stats).map(([name, value, explanation]) => {
        const fact = make("div", "fact");
        fact.title = explanation;
        fact.append(make("dt", "", name), make("dd", "", value));
        return fact;
      }),
    );
  }

  #finish() {
    this.element.classList.remove("busy");
    this.element.removeAttribute("aria-busy");
    this.#problem.textContent = this.#turn.error ?? "";
    this.#problem.hidden = this.#turn.error === null;
    this.#showStats();
    if (!this.view.hasTokens) return;
    // One stop of the Tab key for the answer; arrow keys go through its tokens.
    this.#body.classList.add("tokens");
    this.#body.tabIndex = 0;
    this.#body.setAttribute("role", "group");
    this.#body.setAttribute("aria-label", "Answer; arrow keys inspect its tokens");
  }
}
