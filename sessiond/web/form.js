// A form: drawn from what the API says of it. The daemon says which fields are there with the values there are, and what
// is wrong with them, so conditions and checks are here what they are everywhere else.

import { ask, segment, send } from "./api.js";
import { trouble } from "./card.js";
import { dialogue } from "./dialogue.js";
import { announce, button, fill, h } from "./dom.js";
import { Field } from "./field.js";
import { markdown } from "./markdown.js";
import { Partitions } from "./partitions.js";
import { scripts } from "./scripts.js";
import { clusters, put } from "./store.js";
import { thumbnail } from "./thumbnail.js";
import { plain } from "./words.js";

const PAUSE_MS = 120;
const MODES = { slurm: ["slurm", "controller"], pbs: ["pbs", "controller"] };
const MODE_WORDS = { slurm: "In a job of Slurm", pbs: "In a job of PBS", controller: "On the login node", local: "On this machine" };
const plainText = (name, label, help) => ({ name, label, help, type: "text" });

const modesOf = (cluster) => (cluster.name === "local" ? ["local"] : MODES[cluster.scheduler] ?? ["controller"]);

export function view(name) {
  const box = h("div", {}, h("p", { class: "soft" }, "One moment…"));
  const element = h("div", {}, h("p", { class: "back" }, h("a", { href: "#/new" }, "All there is")), box);
  let gone = false;
  const shown = { element, title: name, close: () => { gone = true; }, update: () => {} };
  const kind = name.includes("/") ? "workflows" : "services";
  ask(`/v1/${kind}/${name.split("/").map(segment).join("/")}`)
    .then((found) => { if (gone) return; document.title = `${found.title || name} · sessiond`; draw(box, found, kind === "workflows", shown); })
    .catch((error) => fill(box, trouble(error)));
  return shown;
}

function draw(box, about, isForm, shown) {
  let again = Object.keys(about.last).length > 0;
  let asked = 0;
  let timer = 0;
  let tried = false;
  let busy = false;
  let standing = []; // what the values are wrong with
  let refused = []; // what only a start finds, with the field and the value that it was found for
  const asksScheduler = about.params.some((one) => /_sch_|jobschedulertype/.test(one.variable ?? one.name));

  const wrong = h("div", { tabindex: "-1", class: "summary" });
  const start = h("button", { class: "primary" }, "Start");
  const preview = button("Preview", () => tryOut(plan));
  const label = new Field(plainText("name", "Name", "Small letters, digits and hyphens; empty: it is named for you"), later);
  const cluster = new Field({ name: "cluster", label: "Cluster", type: "select", help: "" }, () => { offerModes(); later(); });
  const mode = new Field({ name: "mode", label: "How", type: "select", help: "" }, later);
  const time = new Field(plainText("time", "Walltime", "Such as 02:00:00"), later);
  const partition = new Field(plainText("partition", "Partition or queue", "Empty: the usual one"), later);
  const account = new Field(plainText("account", "Account", "Empty: the usual one"), later);
  const directives = new Field({ name: "directives", label: "More for the scheduler", type: "textarea", help: "One a line, such as --exclusive" }, later);
  const patience = new Field(plainText("max_wait", "Longest wait", "Such as 2h"), later);
  const own = about.params.filter((one) => !["hidden", "resource"].includes(one.type)).map((one) => new Field(kindOf(one), later));
  const scheduled = [time, partition, account, directives];
  const partitions = new Partitions(placed);
  shown.update = () => partitions.happened();
  shown.close = () => partitions.close();

  cluster.offer(clusters.map((one) => ({ value: one.name, label: one.name === "local" ? "this machine" : one.name })));
  offerModes();
  cluster.element.hidden = clusters.length < 2;
  const spoken = [["--name", label], ["--mode", mode], ["--time", time], ["--max-wait", patience], ["--directive", directives]];
  explain();
  const isOf = (word, text) => text.startsWith(`${word}:`) || text.startsWith(`${word} `);

  const sections = new Map();
  for (const field of own) {
    const title = field.param.section || "";
    if (!sections.has(title)) sections.set(title, h("fieldset", { class: "card" }, h("legend", {}, title || "What it is given")));
    sections.get(title).append(field.element);
  }
  const where = h("fieldset", { class: "card" }, h("legend", {}, "The session"), label.element, cluster.element, mode.element, scheduled.map((one) => one.element), patience.element);
  const memory = h("p", { class: "soft", hidden: !again }, "Values of the last time are filled in. ", button("Take the form's own", () => {
    again = false;
    memory.hidden = true;
    explain();
    look();
  }, { class: "link" }));

  const form = h("form", { novalidate: true, onsubmit: begin, class: "form" }, wrong, where, [...sections.values()], h("div", { class: "actions" }, start, preview));
  fill(box,
    h("div", { class: "intro" }, thumbnail(about.thumbnail, about.title || about.name), h("div", {}, h("h1", {}, about.title || about.name), h("div", { class: "soft prose" }, markdown(about.description)))),
    about.problems.length ? trouble({ message: about.problems.join("\n") }) : [memory, form]);
  look();

  // What an empty field means. What was said the last time is taken where it fits the cluster, and not shown here.
  function explain() {
    const last = again ? "as the last time, or " : "";
    time.explain(`Such as 02:00:00; empty: ${last}what is usual there`);
    patience.explain(`It is given up if it has no node after so long, such as 2h; empty: ${last}it waits`);
    directives.explain(`One directive a line, such as --exclusive; empty: ${last}none`);
  }

  function kindOf(param) {
    return isForm ? param : { ...param, type: param.options.length ? "select" : param.secret ? "text" : param.type, options: param.options.map((one) => ({ value: one, label: one })) };
  }

  function offerModes() {
    const chosen = clusters.find((one) => one.name === cluster.value) ?? clusters[0];
    mode.offer(modesOf(chosen).map((one) => ({ value: one, label: MODE_WORDS[one] })));
    mode.element.hidden = asksScheduler || mode.input.options.length < 2;
  }

  function request() {
    const set = {};
    for (const field of own) if (field.touched && !field.element.hidden) set[field.param.name] = field.value;
    const asks = !time.element.hidden;
    if (asks && partition.value) set.partition = partition.value;
    if (asks && account.value) set.account = account.value;
    return {
      service: about.name, cluster: cluster.value, mode: mode.element.hidden ? "" : mode.value, name: label.value.trim(), set, again,
      max_wait: patience.element.hidden ? "" : patience.value.trim(), time: asks ? time.value.trim() : "", directives: asks ? directives.value.split("\n").filter((line) => line.trim()) : [],
    };
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  }

  // Ask what the form looks like now; of several answers only that to the last question counts.
  async function look() {
    const number = ++asked;
    const wanted = request();
    try {
      const found = isForm ? await send("POST", "/v1/workflows/fill", { ...wanted, name: "", time: "", max_wait: "", directives: [] }) : looked(wanted);
      if (number !== asked) return;
      standing = found.problems;
      apply(found);
    } catch (error) {
      if (number === asked) fill(wrong, trouble(error));
    }
  }

  // A service without a form has no conditions.
  function looked(wanted) {
    return {
      mode: wanted.mode || modesOf(clusters.find((one) => one.name === wanted.cluster) ?? clusters[0])[0],
      fields: own.map(({ param }) => ({ name: param.name, value: (again ? about.last[param.name] : undefined) ?? param.default, options: param.options })),
      problems: own.filter((one) => one.param.required && !one.value && one.touched).map((one) => `${one.param.name} is missing`),
    };
  }

  function apply(found) {
    const there = new Map(found.fields.map((one) => [one.name, one]));
    const placed = new Set();
    let lost = false;
    for (const field of own) {
      const now = there.get(field.param.name);
      // two parameters may share a name under different conditions; the one with the choices that are offered is meant
      const shows = Boolean(now) && !placed.has(field.param.name) && fits(field, now);
      if (shows) placed.add(field.param.name);
      field.element.hidden = !shows;
      if (!shows) continue;
      lost = field.offer(now.options) || lost;
      field.put(now.value);
    }
    for (const [, section] of sections) section.hidden = [...section.querySelectorAll(".field")].every((one) => one.hidden);
    const queues = found.mode === "slurm" || found.mode === "pbs";
    const asks = queues && !asksScheduler;
    patience.element.hidden = !queues;
    for (const field of scheduled) field.element.hidden = !asks;
    complain(found.problems);
    partitions.look();
    if (lost) later();
  }

  // The fields in which a partition and a walltime are asked for now, and what is in them: the form's own, in the scheduler's
  // spelling, or the plain ones.
  function placed() {
    const seen = (field) => (field && !field.element.hidden ? field : null);
    const asking = (what) => seen(own.find((one) => one.param.asks === what && !one.element.hidden));
    const place = seen(partition) ?? asking("partition");
    const walltime = seen(time) ? null : asking("time");
    const last = again && place === partition ? about.last.partition || about.last.queue : "";
    const query = { partition: (place?.value || last || "").trim(), time: seen(time)?.value ?? "", walltime: walltime?.value ?? "" };
    return { cluster: cluster.value, place, time: seen(time) ?? walltime, query };
  }

  function fits(field, now) {
    if (field.param.type !== "select" || !now.options.length) return true;
    const known = field.param.options.map((one) => one.value);
    return now.options.every((one) => known.includes(one.value));
  }

  // Each problem stands at its field; what is about none stands above. What is missing is said once a start was tried.
  function complain(now) {
    const problems = [...new Set([...now, ...refused.filter((one) => one.field.value === one.value).map((one) => one.text)])];
    const left = new Set(problems);
    for (const [word, field] of [...own.map((field) => [field.param.name, field]), ...spoken]) {
      const mine = field.element.hidden ? [] : problems.filter((text) => isOf(word, text));
      for (const text of mine) left.delete(text);
      const told = mine.filter((text) => tried || field.touched || !text.includes(" is missing"));
      field.complain(told.map((text) => short(word, text)));
    }
    fill(wrong, left.size > 0 && trouble({ message: [...left].join("\n") }));
  }

  const short = (name, text) => {
    const rest = text.slice(name.length).replace(/^:\s*/, "").trim();
    return rest.startsWith("is missing") ? "This is needed." : `${rest[0].toUpperCase()}${rest.slice(1)}.`;
  };

  function begin(event) {
    event.preventDefault();
    tryOut(async () => {
      const session = await send("POST", "/v1/sessions", request());
      put(session);
      announce(`${session.name} is being started`);
      location.hash = `#/sessions/${session.id}`;
    });
  }

  // What a start would do; nothing is begun.
  async function plan() {
    const found = await send("POST", "/v1/plan", request());
    refused = [];
    complain([]);
    await dialogue("What would be done", (close) => [
      h("div", { class: "panel" },
        h("p", {}, "In ", h("code", {}, found.folder), ":"), h("pre", { class: "text" }, plain(found.submit)),
        found.scheduler && h("p", {}, `The scheduler says: ${found.scheduler}`), found.licences && h("p", {}, found.licences), scripts(found.files)),
      h("div", { class: "actions end" }, button("Close", () => close())),
    ], "wide");
  }

  function mark(now) {
    busy = now;
    for (const one of [start, preview]) one.setAttribute("aria-disabled", String(now));
  }

  // One at a time. The buttons are not disabled meanwhile: who is on one would be nowhere afterwards.
  async function tryOut(work) {
    if (busy) return;
    tried = true;
    mark(true);
    try {
      await work();
    } catch (error) {
      const found = error.message.split("\n");
      refused = spoken.flatMap(([word, field]) => found.filter((text) => isOf(word, text)).map((text) => ({ text, field, value: field.value })));
      complain([...standing, ...found]);
      if (!form.querySelector('[aria-invalid="true"]')) fill(wrong, trouble(error));
      const first = form.querySelector('[aria-invalid="true"]');
      (first ?? wrong).focus();
      announce(error.message);
    } finally {
      mark(false);
    }
  }
}
