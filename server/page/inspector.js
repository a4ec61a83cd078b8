// What a token was worth: shown beside it on hover, on tap, and, by arrow keys, in an answer that has the focus.

import { showBlanks, TokenView } from "./tokens.js";

const NAMES = {
  model: "the draft model",
  self: "the model's INT4 copy",
  ngram: "n-gram lookup",
  prediction: "the prediction",
};

function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  if (share < 0.01) return "< 0.01 %";
  return `${share >= 99.95 ? "100" : share.toFixed(share < 10 ? 2 : 1)} %`;
}

// Without the sign of a zero.
const threePlaces = (value) => (value > -0.0005 ? 0 : value).toFixed(3);

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function row(token, logprob, isChosen) {
  const line = make("li", isChosen ? "likely chosen" : "likely");
  const bar = make("span", "likely-bar");
  bar.style.width = `${100 * Math.exp(logprob)}%`;
  line.append(bar, make("span", "likely-token", showBlanks(token)), make("span", "likely-share", percent(logprob)));
  return line;
}

const author = (data) => (data.by === null ? "the model's own" : `by ${NAMES[data.by] ?? data.by}`);

export class Inspector {
  #box;
  #announce;
  #shown = null;

  // `turns` holds the answers; `announce` speaks to screen readers.
  constructor(box, turns, announce) {
    this.#box = box;
    this.#announce = announce;
    turns.addEventListener("pointerover", (event) => this.#follow(event.target));
    turns.addEventListener("pointerleave", () => this.hide());
    turns.addEventListener("click", (event) => this.#follow(event.target));
    turns.addEventListener("keydown", (event) => this.#onKey(event));
    turns.addEventListener("focusout", () => this.hide());
    document.getElementById("conversation").addEventListener("scroll", () => this.hide(), { passive: true });
  }

  get isShown() {
    return this.#shown !== null;
  }

  hide() {
    this.#shown?.classList.remove("looked-at");
    this.#shown = null;
    this.#box.hidden = true;
  }

  #follow(target) {
    const token = target.closest(".token");
    if (token === null) this.hide();
    else if (token !== this.#shown) this.#show(token);
  }

  #onKey(event) {
    const answer = event.target.closest(".tokens");
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (answer === null || step === undefined) return;
    const tokens = [...answer.querySelectorAll(".token")];
    if (tokens.length === 0) return;
    event.preventDefault();
    const from = tokens.indexOf(this.#shown);
    const next = from < 0 && Number.isFinite(step) ? 0 : from + step;
    const token = tokens[Math.min(Math.max(next, 0), tokens.length - 1)];
    token.scrollIntoView({ block: "nearest" });
    this.#show(token);
    const data = TokenView.dataOf.get(token);
    this.#announce(`${showBlanks(data.token)}: ${percent(data.logprob)}, ${author(data)}`);
  }

  #show(token) {
    this.hide();
    const data = TokenView.dataOf.get(token);
    const head = make("p", "inspector-head");
    head.append(make("code", "inspector-token", showBlanks(data.token)), make("strong", "", percent(data.logprob)));
    const facts = make("p", "inspector-facts");
    facts.append(
      make("span", `swatch by-${data.by ?? "target"}`),
      make("span", "", author(data)),
      make("span", "inspector-logprob", `logprob ${threePlaces(data.logprob)}`),
    );
    const list = make("ol", "likely-list");
    for (const [text, logprob] of data.top) list.append(row(text, logprob, text === data.token));
    this.#box.replaceChildren(head, facts, list);
    this.#box.hidden = false;
    this.#shown = token;
    token.classList.add("looked-at");
    this.#place(token);
  }

  // Above the token where there is room, else below; never past the window's edge.
  #place(token) {
    const at = token.getClientRects()[0] ?? token.getBoundingClientRect();
    const box = this.#box.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - box.width / 2, 8), innerWidth - box.width - 8);
    const above = at.top - box.height - 8;
    this.#box.style.left = `${left}px`;
    this.#box.style.top = `${above >= 8 ? above : at.bottom + 8}px`;
  }
}
