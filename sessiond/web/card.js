// A session as a card.

import { actions } from "./actions.js";
import { fill, h } from "./dom.js";
import { path, thumbnail } from "./thumbnail.js";
import { clock, place, since, span, state, until } from "./words.js";

const SOON_S = 15 * 60;

// How long it has left, with a warning before the end; null where nobody knows.
export function timeLeft(session) {
  if (!session.ends_by || session.state === "ended") return null;
  const left = until(session.ends_by);
  const soon = left < SOON_S;
  const text = left > 0 ? `${soon ? "Ends in" : "Time left:"} ${span(left)}` : "Its time is over";
  return h("p", { class: soon ? "left soon" : "left" }, h("time", { datetime: session.ends_by, title: clock(session.ends_by) }, text));
}

export const endsSoon = (session) => session.state !== "ended" && Boolean(session.ends_by) && until(session.ends_by) < SOON_S;

export function pill(session) {
  return h("span", { class: `pill ${session.severity}` }, state(session));
}

// What is wrong, and what helps; what `said` has said already is not said again.
export function trouble(problem, said = "") {
  if (!problem) return null;
  const message = !said.includes(problem.message) && h("p", {}, problem.message);
  const hint = problem.hint && !said.includes(problem.hint) && h("p", { class: "hint" }, problem.hint);
  return message || hint ? h("div", { class: "problem" }, message, hint) : null;
}

// What comes next, but for what this page has a button for.
const following = (session) => (/^sessionctl (open|why) /.test(session.next) ? "" : session.next);

// The words about a session: its state, what comes next, what is wrong, the queue, the time.
export function about(session) {
  const queue = session.state === "wait-for-node" && session.expected_start
    ? h("p", { class: "soft" }, "Expected to start ", h("time", { datetime: session.expected_start }, clock(session.expected_start)))
    : null;
  const reason = session.queue_reason && session.state !== "ended" && !session.phrase.includes(session.queue_reason)
    ? h("p", { class: "soft" }, `The scheduler says: ${session.queue_reason}`)
    : null;
  return [
    session.phrase !== state(session) && h("p", { class: "phrase" }, session.phrase),
    following(session) && h("p", { class: "soft" }, following(session)),
    reason, queue, trouble(session.problem, `${session.phrase} ${session.next}`), trouble(session.licence?.problem), timeLeft(session),
  ];
}

export class Card {
  constructor() {
    this.error = null;
    this.element = h("article", { class: "card" });
  }

  show(session) {
    this.session = session;
    const title = `card-${session.id}`;
    const when = session.ended ? `ended ${clock(session.ended)}` : `for ${span(since(session.since))}`;
    this.element.setAttribute("aria-labelledby", title);
    this.element.className = `card ${session.severity} ${session.state === "ended" ? "over" : ""}`;
    fill(this.element,
      h("div", { class: "head" },
        thumbnail(path(session.workflow), session.service),
        h("div", { class: "who" },
          h("h3", { id: title }, h("a", { href: `#/sessions/${session.id}`, "data-key": `${session.id} name` }, session.name)),
          h("p", { class: "soft" }, `${session.workflow} · ${place(session)}${session.node ? ` · ${session.node}` : ""}`)),
        pill(session)),
      h("div", { class: "words" }, about(session)),
      trouble(this.error),
      h("div", { class: "actions" }, actions(session, (error) => { this.error = error; this.show(this.session); }),
        h("span", { class: "soft when" }, when)));
    return this.element;
  }
}
