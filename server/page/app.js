// Ties the parts together: the bar, the composer, the panel, and what happens when the server goes.

import { key, listModels, version } from "./api.js";
import { Conversation } from "./chat.js";
import { Inspector } from "./inspector.js";
import { KeyDialog } from "./key_dialog.js";
import { Live } from "./live.js";
import { Settings } from "./settings.js";
import { Tiles } from "./tiles.js";

const byId = (id) => document.getElementById(id);
const announce = (text) => (byId("announcer").textContent = text);

const prompt = byId("prompt");
const settings = new Settings(byId("settings"));
const tiles = new Tiles(byId("tiles"));
const live = new Live();
const inspector = new Inspector(byId("inspector"), byId("turns"), announce);
const keyDialog = new KeyDialog(() => connect());
const conversation = new Conversation(byId("turns"), byId("conversation"), {
  settings: () => settings.read(),
  model: () => byId("model").value,
  announce,
  changed: () => queueMicrotask(showState),
  onError: (error) => {
    if (error.status === 401) askForKey();
    if (error.status === 0) live.poll();
  },
});

// Which buttons make sense now.
function showState() {
  byId("send").hidden = conversation.isBusy;
  byId("stop").hidden = !conversation.isBusy;
  byId("send").disabled = byId("model").disabled;
  byId("welcome").hidden = !conversation.isEmpty;
  byId("new-chat").disabled = conversation.isEmpty;
  byId("turns").classList.toggle("is-busy", conversation.isBusy);
  byId("key").hidden = key.get() === "";
}

function askForKey() {
  keyDialog.open(key.get() === "" ? "" : "The server does not take this key.");
}

function showConnection(state, text) {
  byId("dot").className = `dot ${state}`;
  byId("connection").textContent = text;
}

function showModels(models) {
  const select = byId("model");
  const chosen = select.value;
  select.replaceChildren(...models.map(({ id }) => new Option(id, id)));
  if (models.some(({ id }) => id === chosen)) select.value = chosen;
  select.disabled = models.length === 0;
  select.title = models.map(({ id, max_model_len: length }) => `${id}: up to ${length} tokens`).join("\n");
}

// Learns what is served; where that needs a key, asks for it.
async function connect() {
  try {
    showModels(await listModels());
    showConnection("up", "Serving");
  } catch (error) {
    if (error.status === 401) {
      showConnection("locked", "Locked");
      askForKey();
    } else {
      showConnection("down", "Not answering");
      live.forget(); // the next reading that succeeds leads here again
    }
  }
  showState();
}

async function submit() {
  const text = prompt.value.trim();
  if (text === "" || conversation.isBusy || byId("send").disabled || !settings.check()) return;
  prompt.value = "";
  fitPrompt();
  await conversation.send(text);
}

function fitPrompt() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

function setUpComposer() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  prompt.addEventListener("input", fitPrompt);
  prompt.addEventListener("keydown", (event) => {
    // The Enter that ends an input method's composition is not ours.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  byId("stop").addEventListener("click", () => {
    conversation.stop();
    prompt.focus(); // the button is about to go
  });
  byId("examples").addEventListener("click", (event) => {
    const example = event.target.closest("button");
    if (example === null) return;
    prompt.value = example.textContent;
    prompt.focus();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || keyDialog.isOpen) return;
    if (conversation.isBusy) conversation.stop();
    else if (inspector.isShown) inspector.hide();
    else togglePanel(false);
  });
}

function togglePanel(isOpen) {
  byId("panel-toggle").setAttribute("aria-expanded", String(isOpen));
  byId("panel").classList.toggle("open", isOpen);
}

// As the system has it, then its opposite, then back.
function setUpTheme() {
  const root = document.documentElement;
  const label = () => {
    const text = `Theme: ${root.dataset.theme ?? "as the system"}`;
    byId("theme").setAttribute("aria-label", text);
    byId("theme").title = text;
  };
  byId("theme").addEventListener("click", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (root.dataset.theme) delete root.dataset.theme;
    else root.dataset.theme = isDark ? "light" : "dark";
    if (root.dataset.theme) localStorage.setItem("runahead.theme", root.dataset.theme);
    else localStorage.removeItem("runahead.theme");
    label();
  });
  label();
}

function setUpBar() {
  byId("new-chat").addEventListener("click", () => {
    conversation.clear();
    announce("New chat");
    prompt.focus();
  });
  byId("key").addEventListener("click", () => keyDialog.open());
  byId("panel-toggle").addEventListener("click", () => {
    togglePanel(byId("panel-toggle").getAttribute("aria-expanded") !== "true");
  });
}

function setUpLive() {
  live.addEventListener("figures", (event) => tiles.show(event.detail));
  live.addEventListener("down", (event) => {
    tiles.stop();
    showConnection("down", "Not answering");
    byId("outage").textContent = `${event.detail} Trying again every second.`;
    byId("outage").hidden = false;
  });
  live.addEventListener("up", async () => {
    const wasDown = !byId("outage").hidden;
    byId("outage").hidden = true;
    await connect(); // it may serve another model now
    if (wasDown) announce("The server is back.");
    version().then((text) => (byId("version").textContent = `Runahead ${text}`), () => {});
  });
  live.start();
}

setUpComposer();
setUpTheme();
setUpBar();
setUpLive();
showState();
prompt.focus();
