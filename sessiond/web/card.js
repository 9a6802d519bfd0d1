// A session as a card.

import { actions } from "./actions.js";
import { h, redraw } from "./dom.js";
import { path, thumbnail } from "./thumbnail.js";
import { clock, place, sentence, since, span, state, until } from "./words.js";

const SOON_S = 15 * 60;
// Ends of which the phrase and what is known of them say all that the problem does.
const SAID = new Set(["walltime", "node-failed", "preempted", "out-of-memory"]);

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
export function trouble(problem, said = "", calm = false, names = []) {
  if (!problem) return null;
  const message = !said.includes(problem.message) && h("p", {}, sentence(problem.message, ...names));
  const hint = problem.hint && !said.includes(problem.hint) && h("p", { class: "hint" }, sentence(problem.hint, ...names));
  return message || hint ? h("div", { class: calm ? "problem calm" : "problem" }, message, hint) : null;
}

// When the scheduler expects to start it; null where it is under way, or nobody knows.
function expected(session) {
  if (session.state !== "wait-for-node" || !session.expected_start || until(session.expected_start) <= 0) return null;
  const { expected_start: at } = session;
  return h("p", { class: "soft" }, `Expected to start in ${span(until(at))}, at `, h("time", { datetime: at }, clock(at)));
}

// What comes next, but for what this page has a button for.
const following = (session) => (/^sessionctl (open |why |start [^ ]+ --again$)/.test(session.next) ? "" : session.next);

// The words about a session: its state, what comes next, what is wrong, the queue, the time.
export function about(session) {
  const when = expected(session);
  const names = [session.cluster, session.node];
  // What stands beside the name already: "failed: ...", "ended: idle".
  const said = [state(session), "ended"].reduce((text, word) => (text.startsWith(`${word}: `) ? text.slice(word.length + 2) : text), session.phrase);
  const reason = session.queue_reason && session.state !== "ended" && !session.phrase.includes(session.queue_reason)
    ? h("p", { class: "soft" }, `The scheduler says: ${session.queue_reason}`)
    : null;
  return [
    said !== state(session) && h("p", { class: "phrase" }, sentence(said, ...names)),
    when ?? (following(session) && h("p", { class: "soft" }, sentence(following(session), ...names))),
    reason, trouble(SAID.has(session.outcome) ? null : session.problem, `${session.phrase} ${session.next}`, session.severity === "ok", names), trouble(session.licence?.problem), timeLeft(session),
  ];
}

// The way to what is known of an end that nobody asked for.
function why(session) {
  return session.state === "ended" && session.severity !== "ok"
    && h("p", {}, h("a", { href: `#/sessions/${session.id}/story`, "data-key": `${session.id} why` }, "What happened", h("span", { class: "unseen" }, ` to ${session.name}`)));
}

// What came of the last thing that was asked for, a refusal or good words. It is of interest as long as the state is the same.
export function answered(session, { error, text, state: then }) {
  if (then !== session.state) return null;
  return error ? trouble(error) : h("p", { class: "granted" }, sentence(text));
}

export class Card {
  constructor() {
    this.answer = {};
    this.element = h("article", { class: "card" });
  }

  show(session) {
    this.session = session;
    const title = `card-${session.id}`;
    const when = session.ended ? `ended ${clock(session.ended)}` : `for ${span(since(session.since))}`;
    this.element.setAttribute("aria-labelledby", title);
    this.element.className = `card ${session.severity} ${session.state === "ended" ? "over" : ""}`;
    redraw(this.element,
      h("div", { class: "head" },
        thumbnail(path(session.workflow), session.service),
        h("div", { class: "who" },
          h("h3", { id: title }, h("a", { href: `#/sessions/${session.id}`, "data-key": `${session.id} name` }, session.name)),
          h("p", { class: "soft" }, `${session.workflow} · ${place(session)}${session.node ? ` · ${session.node}` : ""}`)),
        pill(session)),
      h("div", { class: "words" }, about(session), why(session)),
      answered(session, this.answer),
      h("div", { class: "actions" }, actions(session, (answer) => { this.answer = answer; this.show(this.session); }),
        h("span", { class: "soft when" }, when)));
    return this.element;
  }
}
