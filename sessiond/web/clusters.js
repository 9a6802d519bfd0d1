// Where sessions can run, the links there, and the dialogue of a login.

import { isLocked, lines, segment, send } from "./api.js";
import { trouble } from "./card.js";
import { open } from "./dialogue.js";
import { announce, button, fill, h, redraw, unique } from "./dom.js";
import * as store from "./store.js";
import { sentence, span } from "./words.js";

const WORDS = { up: "connected", idle: "not connected", connecting: "connecting", backoff: "trying again", "needs-login": "needs you", authenticating: "logging in", blocked: "blocked" };
const SCHEDULERS = { slurm: "Slurm", pbs: "PBS", none: "no scheduler" };

export function view() {
  const list = h("div", { class: "cards" });
  const errors = new Map();
  const alone = h("p", { class: "soft alone" }, "Other clusters are added to config.toml, each as ", h("code", {}, "[clusters.NAME]"), ".");
  const element = h("div", {}, h("div", { class: "title" }, h("h1", {}, "Clusters")), list, alone);

  function card(one) {
    const { link } = one;
    const id = `cluster-${one.name}`;
    const local = one.name === "local";
    const words = WORDS[link.state] ?? link.state;
    const run = (work) => async () => {
      errors.delete(one.name);
      try { await work(one); } catch (error) { errors.set(one.name, error); }
      await store.refresh().catch(() => {});
      update();
    };
    const seen = one.observed_age_s !== null && !local ? `Its jobs were seen ${span(one.observed_age_s)} ago.` : "";
    return h("article", { class: `card ${link.severity}`, "aria-labelledby": id },
      h("div", { class: "head" },
        h("div", { class: "who" }, h("h2", { id }, local ? "This machine" : one.name), h("p", { class: "soft" }, local ? "Sessions start here at once, without a queue" : [one.host, SCHEDULERS[one.scheduler] ?? one.scheduler].filter(Boolean).join(" · "))),
        h("span", { class: `pill ${link.severity}` }, local ? "here" : words)),
      !local && h("div", { class: "words" }, link.phrase !== words && h("p", { class: "phrase" }, sentence(link.phrase, one.name)), link.next && h("p", { class: "soft" }, sentence(link.next, one.name)), trouble(link.problem, `${link.phrase} ${link.next}`), seen && h("p", { class: "soft" }, seen)),
      trouble(errors.get(one.name), `${one.name} ${link.phrase} ${link.next} ${link.problem?.hint ?? ""}`, false, [one.name]),
      !local && h("div", { class: "actions" },
        link.state === "up" ? button("Log out", run((at) => send("POST", `/v1/clusters/${segment(at.name)}/logout`)), { "data-key": `${one.name} out` })
          : button("Log in", run(login), { class: "primary", "data-key": `${one.name} in` })));
  }

  function update() {
    redraw(list, store.clusters.map(card));
    alone.hidden = store.clusters.length > 1;
  }

  update();
  return { element, title: "Clusters", update };
}

// Log in: what the cluster asks is asked here, and goes to it and nowhere else. Closing the dialogue gives up.
async function login(cluster) {
  const id = unique("login");
  const end = new AbortController();
  const body = h("div", { "aria-live": "polite" }, h("p", {}, "Connecting…"));
  const cancel = button("Cancel", () => box.close());
  const foot = h("div", { class: "actions end" }, cancel);
  const box = h("dialog", { "aria-labelledby": id, onclose: () => end.abort() },
    h("h2", { id }, `Log in to ${cluster.name}`), body, foot);
  open(box);
  try {
    for await (const event of lines("POST", `/v1/clusters/${segment(cluster.name)}/login`, {}, end.signal)) {
      if (event === null) continue;
      if (event.kind === "up") { announce(`Connected to ${cluster.name}`); return; }
      if (event.kind === "failed") throw Object.assign(new Error(event.problem.message), { hint: event.problem.hint });
      ask(event);
    }
  } catch (error) {
    if (isLocked(error)) throw error;
    if (error.name !== "AbortError") throw error;
  } finally {
    box.close();
  }

  function ask(round) {
    const fields = round.questions.map((question) => ({ id: unique("answer"), ...question }));
    const form = h("form", { id: unique("answers"), onsubmit: reply },
      round.title && h("p", { class: "strong" }, round.title), round.instructions && h("p", { class: "said" }, round.instructions),
      fields.map((one) => [h("label", { for: one.id }, one.text.trim() || "Answer"), h("input", { id: one.id, type: one.echo ? "text" : "password", autocomplete: one.echo ? "one-time-code" : "current-password", spellcheck: "false" })]));
    fill(body, form);
    fill(foot, cancel, fields.length > 0 && h("button", { class: "primary", form: form.id }, "Answer"));
    form.querySelector("input")?.focus();

    async function reply(event) {
      event.preventDefault();
      const answers = [...form.querySelectorAll("input")].map((one) => one.value);
      fill(body, h("p", {}, "One moment…"));
      fill(foot, cancel);
      try {
        await send("POST", `/v1/clusters/${segment(cluster.name)}/login/${segment(round.id)}`, { answers });
      } catch (error) {
        fill(body, trouble(error));
      }
    }
  }
}
