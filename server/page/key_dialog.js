// Asks for the API key where the server wants one.

import { key } from "./api.js";

export class KeyDialog {
  #dialog = document.getElementById("key-dialog");
  #input = document.getElementById("key-input");
  #problem = document.getElementById("key-problem");
  #forget = document.getElementById("key-forget");

  // `onChange` runs when the key was set or forgotten.
  constructor(onChange) {
    const form = document.getElementById("key-form");
    form.addEventListener("submit", () => {
      key.set(this.#input.value.trim());
      form.reset();
      onChange();
    });
    this.#forget.addEventListener("click", () => {
      key.set("");
      this.#dialog.close();
      onChange();
    });
  }

  get isOpen() {
    return this.#dialog.open;
  }

  // `problem`: why the last key did not do; empty at first.
  open(problem = "") {
    this.#problem.textContent = problem;
    this.#problem.hidden = problem === "";
    this.#forget.hidden = key.get() === "";
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input.focus();
  }
}
