// The conversation: what was said, the answer that is being made, and the tab's memory of both.

import { ApiError, streamChat } from "./api.js";
import { AnswerView } from "./answer.js";

const STORE = "runahead.conversation";

function questionElement(text) {
  const item = document.createElement("li");
  item.className = "turn question";
  const body = document.createElement("p");
  body.textContent = text;
  item.append(body);
  return item;
}

const emptyAnswer = (model) => ({ role: "assistant", model, text: "", pieces: [], stats: {}, error: null });

export class Conversation {
  #turns = []; // in turn {role: "user", text} and answers as emptyAnswer() makes them
  #views = [];
  #list;
  #scroller;
  #hooks;
  #abort = null;
  #wasAtEnd = true;
  #lastTop = 0;
  #scrollAsked = false;

  // `hooks`: settings() -> {system, fields}; model() -> name; announce(text); changed(); onError(ApiError).
  constructor(list, scroller, hooks) {
    this.#list = list;
    this.#scroller = scroller;
    this.#hooks = hooks;
    scroller.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    this.#restore();
  }

  get isBusy() {
    return this.#abort !== null;
  }

  get isEmpty() {
    return this.#turns.length === 0;
  }

  async send(text) {
    if (this.isBusy) return;
    this.#append({ role: "user", text });
    await this.#answer();
  }

  // Another answer to the last question.
  async regenerate() {
    if (this.isBusy || this.#turns.at(-1)?.role !== "assistant") return;
    this.#turns.pop();
    this.#views.pop().element.remove();
    await this.#answer();
  }

  // The server sees the connection close and computes nothing more for it.
  stop() {
    this.#abort?.abort();
  }

  clear() {
    this.stop();
    this.#turns = [];
    this.#views = [];
    this.#list.replaceChildren();
    this.#store();
    this.#hooks.changed();
  }

  async #answer() {
    const { system, fields } = this.#hooks.settings();
    const messages = this.#messages();
    if (system !== "") messages.unshift({ role: "system", content: system });
    const view = this.#append(emptyAnswer(this.#hooks.model()));
    const turns = this.#turns;
    const abort = new AbortController();
    this.#abort = abort;
    this.#hooks.changed();
    view.start();
    let failure = null;
    try {
      for await (const chunk of streamChat({ model: this.#hooks.model(), messages, ...fields }, abort.signal)) {
        view.take(chunk);
        this.#scrollSoon();
      }
    } catch (error) {
      // Whatever a chunk makes of this page, the answer must end and say so.
      if (!abort.signal.aborted) failure = error instanceof ApiError ? error : new ApiError(String(error), 200);
    }
    view.end(abort.signal.aborted, failure);
    this.#abort = null;
    this.#scrollSoon();
    if (turns === this.#turns) this.#store(); // else it was cleared meanwhile
    this.#hooks.changed();
    this.#hooks.announce(this.#summary(abort.signal.aborted, failure, turns.at(-1)));
    if (failure !== null) this.#hooks.onError(failure);
  }

  // A question that got no answer is left out: templates want questions and answers in turn.
  #messages() {
    const messages = [];
    for (const { role, text } of this.#turns) {
      if (role === "assistant" && text === "") messages.pop();
      else messages.push({ role, content: text });
    }
    return messages;
  }

  #summary(stopped, failure, turn) {
    if (failure !== null) return ""; // an alert by itself
    const count = turn.stats.usage?.completion_tokens;
    return `${stopped ? "Stopped" : "Answer complete"}${count === undefined ? "" : `, ${count} tokens`}`;
  }

  #append(turn) {
    this.#turns.push(turn);
    let view = null;
    if (turn.role === "user") {
      view = { element: questionElement(turn.text) };
      this.#wasAtEnd = true; // who asks wants to see the answer
    } else {
      view = new AnswerView(turn, { announce: this.#hooks.announce, onRegenerate: () => this.regenerate() });
    }
    this.#views.push(view);
    this.#list.append(view.element);
    this.#scrollSoon();
    return view;
  }

  // Only who scrolls up has gone away: an answer that grows leaves the end behind by itself.
  #noteScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight < 48) this.#wasAtEnd = true;
    else if (scrollTop < this.#lastTop) this.#wasAtEnd = false;
    this.#lastTop = scrollTop;
  }

  // Follows the answer unless the reader has scrolled away.
  #scrollSoon() {
    if (this.#scrollAsked || !this.#wasAtEnd) return;
    this.#scrollAsked = true;
    requestAnimationFrame(() => {
      this.#scrollAsked = false;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
    });
  }

  #store() {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(this.#turns));
    } catch {
      // Longer than the tab's memory: it goes on, and a reload starts afresh.
      sessionStorage.removeItem(STORE);
    }
  }

  #restore() {
    try {
      for (const turn of JSON.parse(sessionStorage.getItem(STORE) ?? "[]")) this.#append(turn).restore?.();
    } catch {
      this.clear(); // left by another version of the page
    }
  }
}
