// One tab: a terminal, and a connection to the shell that ?shell= names ("1" if it names none).
import { FitAddon, Terminal, WebLinksAddon } from "./xterm.js";

const SHELL = new URLSearchParams(location.search).get("shell") || "1";
const PASTE_PIECE = 16384; // characters: the server takes messages of up to 1 MiB
const LONGEST_PAUSE_MS = 10000;

const term = new Terminal({
  scrollback: 10000,
  cursorBlink: true,
  fontFamily: "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  theme: { background: "#14171c", foreground: "#d7dae0" },
});
const fit = new FitAddon();
term.loadAddon(fit);
term.loadAddon(new WebLinksAddon());
term.open(document.getElementById("terminal"));
term.focus();

const notice = document.getElementById("notice");
let socket = null;
let pause = 0;
let timer = 0;
let replaying = 0;
let state = "connecting"; // "open", "ended" (the shell is over), "refused" (no way in)

function tell(text) {
  notice.textContent = text;
  notice.hidden = text === "";
}

function send(message) {
  if (socket !== null && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function sendSize() {
  fit.fit();
  send(["set_size", term.rows, term.cols]);
}

function show(text, isReplay) {
  const from = socket;
  if (isReplay) replaying += 1;
  term.write(text, () => {
    if (isReplay) replaying -= 1;
    if (from === socket) send(["ack", text.length]);
  });
}

function connect() {
  clearTimeout(timer);
  state = "connecting";
  const url = new URL(`./ws/${encodeURIComponent(SHELL)}`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url);
  socket = mine;
  mine.onopen = () => {
    state = "open";
    pause = 0;
    tell("");
    term.reset();
    sendSize();
  };
  mine.onmessage = (event) => {
    const [kind, text] = JSON.parse(event.data);
    if (kind === "stdout") show(text, false);
    else if (kind === "replay") show(text, true);
    else if (kind === "disconnect") {
      state = "ended";
      tell("The shell has ended. Press Enter for a new one.");
    }
  };
  mine.onclose = (event) => {
    if (state === "ended" || mine !== socket) return;
    if (event.code === 4000) {
      state = "ended";
      tell(`${event.reason}. Press Enter to try again.`);
      return;
    }
    state = "connecting";
    tell("The connection is lost; the shell goes on. Connecting ...");
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2 || 500);
    timer = setTimeout(retry, pause);
  };
}

// A refused WebSocket does not say why; a plain request does.
async function retry() {
  clearTimeout(timer);
  if (state !== "connecting") return;
  try {
    const answer = await fetch("./page.js", { cache: "no-store" });
    if (answer.status === 403) {
      state = "refused";
      tell("This tab may no longer use the shell. Open the address that `sessionctl url` prints.");
      return;
    }
  } catch {
    // No connection at all: the WebSocket below finds the same, and is tried again.
  }
  connect();
}

term.onData((text) => {
  if (state === "ended") {
    if (text === "\r") connect();
    return;
  }
  // What a replay asks the terminal was answered when it was first printed.
  if (replaying > 0) return;
  for (let at = 0; at < text.length; at += PASTE_PIECE) send(["stdin", text.slice(at, at + PASTE_PIECE)]);
});
term.onTitleChange((title) => { document.title = title || "Web shell"; });
new ResizeObserver(sendSize).observe(document.getElementById("terminal"));
addEventListener("online", retry);
document.addEventListener("visibilitychange", () => { if (!document.hidden && notice.hidden === false) retry(); });
connect();
