// The parameters form: its values as fields of a request, remembered by the browser.

const STORE = "runahead.settings";
const NUMBERS = ["temperature", "top_p", "max_tokens", "seed"];
const TOP_LOGPROBS = 5;

export class Settings {
  #form;
  #problem = document.getElementById("settings-problem");

  constructor(form) {
    this.#form = form;
    this.#restore();
    for (const name of ["temperature", "top_p"]) this.#tie(name);
    form.addEventListener("input", () => this.#changed());
    form.addEventListener("submit", (event) => event.preventDefault());
    this.#changed();
  }

  get #mode() {
    return this.#form.elements.mode.value;
  }

  // Whether every field can be sent; if not, shows and focuses the first that cannot.
  check() {
    const wrong = [...this.#form.elements].find((field) => field.willValidate && !field.validity.valid);
    this.#problem.hidden = wrong === undefined;
    if (wrong === undefined) return true;
    this.#problem.textContent = `${wrong.labels[0].textContent}: ${wrong.validationMessage}`;
    wrong.focus();
    return false;
  }

  // An empty field is not sent: the server's default holds.
  read() {
    const { elements } = this.#form;
    const fields = { speculation: {} };
    for (const name of NUMBERS) {
      if (elements[name].value !== "") fields[name] = elements[name].valueAsNumber;
    }
    if (this.#mode !== "") fields.speculation.mode = this.#mode;
    if (this.#mode === "fixed") fields.speculation.max_tokens = elements.k.valueAsNumber;
    fields.speculation.include_usage = true;
    fields.stream_options = { include_usage: true };
    if (elements.details.checked) {
      fields.logprobs = true;
      fields.top_logprobs = TOP_LOGPROBS;
      fields.speculation.include_drafter = true;
      fields.stream_options.continuous_usage_stats = true; // so that a stopped answer has its counts too
    }
    return { system: elements.system.value.trim(), fields };
  }

  // A slider moves its number; a number moves its slider, which fades where the server decides.
  #tie(name) {
    const number = this.#form.elements[name];
    const slider = document.getElementById(`${name}-slider`);
    const follow = () => {
      slider.value = number.value === "" ? "1" : number.value;
      slider.classList.toggle("unset", number.value === "");
    };
    slider.addEventListener("input", () => {
      number.value = slider.value;
      follow();
    });
    number.addEventListener("input", follow);
    follow();
  }

  #changed() {
    const { elements } = this.#form;
    document.getElementById("k-row").hidden = this.#mode !== "fixed";
    elements.k.disabled = this.#mode !== "fixed";
    document.documentElement.classList.toggle("no-colours", !elements.colours.checked);
    if (!this.#problem.hidden) this.check();
    const values = {};
    for (const field of elements) {
      if (field.name === "" || field.type === "radio") continue;
      values[field.name] = field.type === "checkbox" ? field.checked : field.value;
    }
    localStorage.setItem(STORE, JSON.stringify({ ...values, mode: this.#mode }));
  }

  #restore() {
    let values = {};
    try {
      values = JSON.parse(localStorage.getItem(STORE) ?? "{}");
    } catch {
      return; // left by another version of the page
    }
    for (const [name, value] of Object.entries(values)) {
      const field = this.#form.elements[name];
      if (field === undefined) continue;
      if (field.type === "checkbox") field.checked = value === true;
      else field.value = value;
    }
  }
}
