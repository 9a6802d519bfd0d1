// The view of all sessions.

import { Card } from "./card.js";
import { goTo, h } from "./dom.js";
import { sessions } from "./store.js";

const TICK_MS = 15000;

export function view() {
  const cards = new Map();
  const live = h("div", { class: "cards" });
  const over = h("div", { class: "cards" });
  const empty = h("div", { class: "empty" },
    h("p", { class: "phrase" }, "No session runs."),
    h("p", { class: "soft" }, "Choose what to start: a notebook, a desktop, a shell. It keeps running when this page is closed."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Start something")));
  const past = h("section", { "aria-labelledby": "over" }, h("h2", { id: "over" }, "Ended"), over);
  const element = h("div", {},
    h("div", { class: "title" }, h("h1", {}, "Sessions"), h("a", { class: "button primary", href: "#/new" }, "New session")),
    h("h2", { class: "unseen" }, "Now"), live, empty, past);

  const order = (one, other) => other.created.localeCompare(one.created);

  // What stays in a list is not moved: what is focused or selected would not be any more.
  function place(list, found) {
    const there = new Set(found.map((session) => cards.get(session.id)?.element));
    for (const one of [...list.children]) if (!there.has(one)) one.remove();
    found.forEach((session, at) => {
      if (!cards.has(session.id)) cards.set(session.id, new Card());
      const card = cards.get(session.id);
      if (card.shown !== session) card.show(session);
      card.shown = session;
      if (list.children[at] !== card.element) list.insertBefore(card.element, list.children[at] ?? null);
    });
  }

  function update() {
    const all = [...sessions.values()].sort(order);
    const ended = all.filter((one) => one.state === "ended");
    const on = [...cards.values()].find((card) => card.element.contains(document.activeElement));
    const { key } = document.activeElement.dataset;
    place(live, all.filter((one) => one.state !== "ended"));
    place(over, ended);
    if (on && !on.element.contains(document.activeElement)) goTo(key, on.element.isConnected ? on.element : undefined);
    for (const id of cards.keys()) if (!sessions.has(id)) cards.delete(id);
    empty.hidden = live.children.length > 0;
    past.hidden = ended.length === 0;
  }

  update();
  const timer = setInterval(() => { for (const card of cards.values()) card.show(card.session); }, TICK_MS);
  return { element, title: "Sessions", update, close: () => clearInterval(timer) };
}
