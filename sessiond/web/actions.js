// What can be done to a session, as buttons.

import { segment, send } from "./api.js";
import { confirm, prompt } from "./dialogue.js";
import { announce, button, h } from "./dom.js";
import { drop, put } from "./store.js";

const at = (session, what = "") => `/v1/sessions/${segment(session.id)}${what}`;

const underWay = new Set();

// Run an action on a session. What it says, or is refused with, is shown to the person, and said.
async function attempt(session, work, report) {
  const what = `${session.id} ${work.name}`;
  if (underWay.has(what)) return; // the second click of two
  underWay.add(what);
  report({});
  const { state } = session;
  try {
    const text = await work(session);
    if (text) report({ text, state });
    if (text) announce(text);
  } catch (error) {
    report({ error, state });
    announce(`${error.message} ${error.hint ?? ""}`);
  } finally {
    underWay.delete(what);
  }
}

export async function stop(session) {
  const title = `Stop ${session.name}?`;
  const waits = session.state === "wait-for-node";
  const what = waits ? "It leaves the queue, and loses its place there." : "Its programs are ended. What they have not saved is lost; files and the log stay.";
  if (!(await confirm(title, what, "Stop it", "Keep it"))) return;
  put(await send("POST", at(session, "/stop"), {}));
}

export async function extend(session) {
  const by = await prompt(`More time for ${session.name}`, "How much more", "1h", "Ask for it", "Such as 30m, 1h30m or 02:00:00. Whether it is granted is the scheduler's to say.");
  if (!by) return "";
  const { text, session: found } = await send("POST", at(session, "/extend"), { by });
  put(found);
  return text;
}

export async function again(session) {
  const begun = await send("POST", at(session, "/again"), {});
  put(begun);
  announce(`${begun.name} is being started`);
  location.hash = `#/sessions/${begun.id}`;
}

export async function forget(session) {
  if (!(await confirm(`Forget ${session.name}?`, "Its history, its log and its folder are removed.", "Forget it"))) return;
  await send("DELETE", at(session));
  drop(session.id);
  if (location.hash.startsWith(`#/sessions/${session.id}`)) location.hash = "#/sessions";
}

// The buttons that make sense now. `report` shows what an action was refused with.
export function actions(session, report) {
  const name = h("span", { class: "unseen" }, ` ${session.name}`);
  const does = (label, work, extra = {}) => button([label, name.cloneNode(true)], () => attempt(session, work, report), { "data-key": `${session.id} ${label}`, ...extra });
  if (session.state === "ended") return [does("Restart", again, { class: "primary" }), does("Forget", forget)];
  const ready = session.state === "running" || session.state === "verify";
  const open = session.url && h("a", { class: ready ? "button primary" : "button", href: session.url, target: "_blank", rel: "noopener noreferrer", "data-key": `${session.id} open` }, "Open", name.cloneNode(true));
  const asks = session.link.state === "needs-login" && h("a", { class: "button", href: "#/clusters", "data-key": `${session.id} login` }, `Log in to ${session.cluster}`);
  const stopping = session.state === "kill" || session.state === "abandon";
  const waits = session.state === "wait-for-node" && session.mode !== "controller" && session.mode !== "local";
  return [open, asks, (session.ends_by || waits) && does("Extend", extend), !stopping && does("Stop", stop)].filter(Boolean);
}
