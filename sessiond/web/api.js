// The daemon's API. What this page is known by is held by this tab alone, and goes along in a header of each request.

const STORED = "sessiond-token";
const FILL = "/v1/workflows/fill"; // a question, although it has a body
let token = sessionStorage.getItem(STORED) ?? "";

export class Failure extends Error {
  constructor(error, status) {
    super(error.message);
    this.code = error.code;
    this.hint = error.hint ?? "";
    this.status = status;
  }
}

const unreachable = () => new Failure({ code: "unreachable", message: "sessiond does not answer", hint: "try it again in a moment" }, 0);

export const isOpen = () => token !== "";
export const isLocked = (error) => error instanceof Failure && error.status === 403;

export async function enter(key) {
  token = (await send("POST", "/v1/dashboard/enter", { key })).token;
  sessionStorage.setItem(STORED, token);
}

export function forget() {
  token = "";
  sessionStorage.removeItem(STORED);
}

// A browser now and then drops what is asked, where another network comes up or goes. A question is then asked once more; what
// changes something may have been done, and is not.
async function answer(method, path, body, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const ask = () => fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal });
  let got;
  try {
    got = await ask().catch((error) => {
      if (error.name === "AbortError" || !(method === "GET" || path === FILL)) throw error;
      return ask();
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (got.ok) return got;
  let error = { code: "failed", message: `sessiond answered with status ${got.status}` };
  try {
    error = (await got.json()).error;
  } catch { /* the status has to do */ }
  throw new Failure(error, got.status);
}

export async function send(method, path, body) {
  const got = await answer(method, path, body);
  return got.status === 204 ? null : got.json();
}

export const ask = (path) => send("GET", path);

export const segment = (name) => encodeURIComponent(name);

// Bytes as they come, until the stream or the signal ends it; `begun` is told the answer before them.
export async function* chunks(method, path, body, signal, begun = () => {}) {
  const got = await answer(method, path, body, signal);
  begun(got);
  const reader = got.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => { throw error.name === "AbortError" ? error : unreachable(); });
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// The JSON of each line; null for an empty one.
export async function* lines(method, path, body, signal) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks(method, path, body, signal)) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop();
    for (const part of parts) yield part ? JSON.parse(part) : null;
  }
}

const pictures = new Map();

// An address that an <img> can show, or "" where there is no picture. Each is asked for once.
export function picture(path) {
  if (!pictures.has(path)) {
    const found = answer("GET", path).then(async (got) => URL.createObjectURL(await got.blob())).catch(() => "");
    pictures.set(path, found);
  }
  return pictures.get(path);
}
