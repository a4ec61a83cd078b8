// Lays an answer's tokens over its text. The text is what counts: a token shows the stretch of it that it gave, which
// is nothing for half a character and for a special token.

// Visible stand-ins for what a reader could not see.
export function showBlanks(text) {
  return text.replaceAll(" ", "\u2423").replaceAll("\n", "\u23ce").replaceAll("\t", "\u21e5");
}

function commonLength(a, b) {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) ++length;
  return length;
}

export class TokenAligner {
  static #FARTHEST = 32; // characters that a token may be looked for ahead of its place
  #text = "";
  #at = 0;
  #decoder = new TextDecoder();

  addText(text) {
    this.#text += text;
  }

  // The text that no token has claimed yet.
  get rest() {
    return this.#text.slice(this.#at);
  }

  #take(length) {
    const taken = this.#text.slice(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  // {skipped, text}: what stands before the token's own stretch without a token, mostly nothing, and that stretch.
  claim(bytes) {
    let said = this.#decoder.decode(Uint8Array.from(bytes), { stream: true });
    const rest = this.rest;
    // Some tokenizers write a blank before the first word that the text does not have.
    if (this.#at === 0 && said.startsWith(" ") && !rest.startsWith(" ")) said = said.slice(1);
    const length = commonLength(said, rest);
    if (said === "" || length > 0) return { skipped: "", text: this.#take(length) };
    const ahead = rest.slice(0, TokenAligner.#FARTHEST + said.length).indexOf(said);
    if (ahead < 0) return { skipped: "", text: "" };
    return { skipped: this.#take(ahead), text: this.#take(said.length) };
  }
}

// The spans of one answer. `entries` of `dataOf` say of a span what the inspector shows.
export class TokenView {
  static dataOf = new WeakMap();
  #aligner = new TokenAligner();
  #rest = document.createTextNode("");
  #pieces = [];

  constructor(element) {
    this.element = element;
    element.append(this.#rest);
  }

  // For storing: [text, data or null] of each piece; `restore` takes it back.
  get pieces() {
    return this.#rest.data === "" ? this.#pieces : [...this.#pieces, [this.#rest.data, null]];
  }

  get hasTokens() {
    return this.#pieces.some(([, data]) => data !== null);
  }

  addText(text) {
    this.#aligner.addText(text);
    this.#rest.appendData(text);
  }

  // `entry` is one of logprobs.content; `draftedBy` null where the target wrote it itself.
  addToken(entry, draftedBy) {
    const { skipped, text } = this.#aligner.claim(entry.bytes ?? []);
    if (skipped !== "") this.#append(skipped, null);
    this.#append(text, {
      token: entry.token,
      logprob: entry.logprob,
      by: draftedBy,
      top: (entry.top_logprobs ?? []).map(({ token, logprob }) => [token, logprob]),
    });
    this.#rest.data = this.#aligner.rest;
  }

  restore(pieces) {
    for (const [text, data] of pieces) this.#append(text, data);
  }

  #append(text, data) {
    this.#pieces.push([text, data]);
    if (data === null) {
      this.#rest.before(text);
      return;
    }
    const span = document.createElement("span");
    span.className = `token by-${data.by ?? "target"}`;
    // Blanks before a word carry no tint: lines would end in stripes.
    const ink = document.createElement("span");
    ink.className = "ink";
    ink.textContent = text.trimStart();
    span.append(text.slice(0, text.length - ink.textContent.length), ink);
    // Shown by the style sheet alone, so that a selection copies the answer and nothing else.
    if (text === "") span.dataset.mark = data.token.startsWith("<") ? "end" : "\u00b7";
    TokenView.dataOf.set(span, data);
    this.#rest.before(span);
  }
}
