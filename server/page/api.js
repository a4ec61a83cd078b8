// The server as the page calls it: its key, its errors, its event streams.

const ROOT = new URL("../", import.meta.url);
const KEY = "runahead.key";

export class ApiError extends Error {
  // `status` is HTTP's, 0 where no answer came.
  constructor(message, status, isCut = false) {
    super(message);
    this.status = status;
    this.isCut = isCut; // in mid-answer
  }
}

// Of this tab alone: nothing else of the browser, and no other tab, ever sees it.
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value === "" ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, value)),
};

async function errorOf(response) {
  let message = `The server answered ${response.status} ${response.statusText}`.trim();
  try {
    message = (await response.json()).error.message;
  } catch {
    // A proxy's page: its status has to do.
  }
  return new ApiError(message, response.status);
}

async function call(path, init = {}) {
  const headers = new Headers(init.headers);
  if (key.get() !== "") headers.set("Authorization", `Bearer ${key.get()}`);
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function listModels() {
  return (await (await call("v1/models")).json()).data;
}

export async function version() {
  return (await (await call("version")).json()).version;
}

export async function scrape(timeoutMs) {
  return (await call("metrics", { signal: AbortSignal.timeout(timeoutMs) })).text();
}

// The data of each event of a stream of server-sent events.
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const lines = buffer.split("\n");
    buffer = lines.pop();
    // The server's events are one line of data each; comments and empty lines carry nothing.
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice(5).trim();
    }
  }
}

// The chunks of one answer. Ends by itself only when the answer is whole.
export async function* streamChat(body, signal) {
  const response = await call("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  try {
    for await (const data of eventsOf(response)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, response.status, true);
      yield chunk;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
  }
  throw new ApiError("The connection was lost before the answer was complete.", 0, true);
}
