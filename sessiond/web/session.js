// One session: its words and buttons, its story, its log as it is written, its scripts.

import { actions } from "./actions.js";
import { ask, segment } from "./api.js";
import { about, answered, pill, trouble } from "./card.js";
import { button, fill, h, redraw } from "./dom.js";
import { log } from "./log.js";
import { scripts } from "./scripts.js";
import { sessions } from "./store.js";
import { path, thumbnail } from "./thumbnail.js";
import { clock, place, plain, sentence } from "./words.js";

const COLLECTS_MS = 3000;
const TIME = /\b\d{4}-\d\d-\d\dT[0-9:.]{8,12}Z/g;
const TABS = [["story", "Story"], ["log", "Log"], ["script", "Scripts"]];

export function view(id, wanted) {
  const at = `/v1/sessions/${segment(id)}`;
  let answer = {};
  let seen = null;
  let chosen = TABS.some(([name]) => name === wanted) ? wanted : "story";
  let end = new AbortController();

  const head = h("div", { class: "card wide" });
  const tabs = h("div", { role: "tablist", "aria-label": "About this session", class: "tabs" });
  const panel = h("div", { role: "tabpanel", id: "panel", tabindex: "0", "aria-labelledby": `tab-${chosen}` });
  const element = h("div", {}, h("p", { class: "back" }, h("a", { href: "#/sessions" }, "All sessions")), head, tabs, panel);

  function choose(name, focus) {
    chosen = name;
    history.replaceState(null, "", `#/sessions/${id}/${name}`);
    drawTabs();
    if (focus) tabs.querySelector('[aria-selected="true"]').focus();
    open();
  }

  function drawTabs() {
    fill(tabs, TABS.map(([name, label]) => button(label, () => choose(name, true), {
      role: "tab", id: `tab-${name}`, "data-key": name, "aria-selected": String(name === chosen), "aria-controls": "panel", tabindex: name === chosen ? "0" : "-1",
    })));
    panel.setAttribute("aria-labelledby", `tab-${chosen}`);
  }

  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = TABS.findIndex(([name]) => name === chosen);
    choose(TABS[(now + step + TABS.length) % TABS.length][0], true);
  });

  async function open() {
    end.abort();
    end = new AbortController();
    panel.className = "panel";
    fill(panel, h("p", { class: "soft" }, "One moment…"));
    try {
      const shown = { story, log: (signal) => log(panel, at, sessions.get(id)?.name ?? id, signal), script };
      await shown[chosen](end.signal);
    } catch (problem) {
      if (problem.name !== "AbortError") fill(panel, trouble(problem));
    }
  }

  async function story(signal) {
    const { session, lines, evidence, next, log: last } = await ask(`${at}/story`);
    if (signal.aborted) return;
    const names = [session.cluster, session.node];
    // While it lives, or where a button does it, what comes next is above.
    const advice = session.state === "ended" && next !== session.next && next;
    redraw(panel, h("ol", { class: "story" }, lines.map((line) => h("li", {}, h("time", { datetime: line.at }, clock(line.at)), h("span", {}, sentence(line.text, ...names))))),
      evidence.length > 0 && [h("h2", {}, "What is known"), h("ul", { class: "known" }, evidence.map((text) => h("li", {}, plain(text.replace(TIME, clock)))))],
      advice && [h("h2", {}, "What to do next"), h("p", {}, sentence(advice))],
      last.length > 0 && [h("h2", {}, "The end of its log"), h("pre", { class: "text" }, plain(last.join("\n")))]);
    // What is known of an end is collected beside it, without an event.
    if (evidence.some((text) => text.startsWith("not there yet"))) setTimeout(() => { if (!signal.aborted) story(signal).catch(() => {}); }, COLLECTS_MS);
  }

  async function script(signal) {
    const { folder, files } = await ask(`${at}/rendered`);
    if (signal.aborted) return;
    const some = Object.keys(files).length > 0;
    fill(panel, h("p", { class: "soft" }, some ? `As they lie in ${folder}, without secrets.` : "Nothing is prepared yet."), scripts(files));
  }

  function draw(session) {
    head.className = session.state === "ended" ? "card wide over" : "card wide";
    redraw(head,
      h("div", { class: "head" }, thumbnail(path(session.workflow), session.service),
        h("div", { class: "who" }, h("h1", {}, session.name), h("p", { class: "soft" }, `${session.workflow} · ${place(session)}${session.node ? ` · ${session.node}` : ""}`)),
        pill(session)),
      h("div", { class: "words" }, about(session)), answered(session, answer),
      h("div", { class: "actions" }, actions(session, (now) => { answer = now; draw(sessions.get(id) ?? session); })));
  }

  function update() {
    const session = sessions.get(id);
    if (!session) {
      fill(head, h("h1", {}, "No such session"), h("p", { class: "soft" }, "It was forgotten, or never was."));
      tabs.hidden = panel.hidden = true;
      return;
    }
    tabs.hidden = panel.hidden = false;
    if (session === seen) return;
    const changed = seen && (seen.state !== session.state || seen.attempt !== session.attempt);
    seen = session;
    draw(session);
    if (changed && chosen === "story") story(end.signal).catch(() => {});
  }

  drawTabs();
  update();
  open();
  const timer = setInterval(() => { if (seen) draw(seen); }, 15000);
  return { element, title: seen?.name ?? "Session", update, close: () => { clearInterval(timer); end.abort(); } };
}
