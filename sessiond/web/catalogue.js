// What can be started: the forms, then the services that have none.

import { ask } from "./api.js";
import { trouble } from "./card.js";
import { fill, h, unique } from "./dom.js";
import { firstWords } from "./markdown.js";
import { thumbnail } from "./thumbnail.js";

function tile(one, note) {
  const id = unique("tile");
  const broken = one.problems.length > 0;
  const title = one.title || one.name;
  const name = h("h3", { id }, broken ? title : h("a", { href: `#/new/${one.name}` }, title));
  return h("li", { class: broken ? "card tile broken" : "card tile" },
    h("div", { class: "head" }, thumbnail(one.thumbnail, title), h("div", { class: "who" }, name, h("p", { class: "soft" }, note))),
    broken ? h("details", {}, h("summary", {}, "It cannot be started"), h("pre", { class: "text", tabindex: "0", "aria-labelledby": id }, one.problems.join("\n")))
      : h("p", { class: "soft about" }, firstWords(one.description)));
}

export function view() {
  const found = h("div", {}, h("p", { class: "soft" }, "One moment…"));
  const filter = h("input", { type: "search", id: "filter", autocomplete: "off", placeholder: "Notebook, desktop, shell…" });
  const element = h("div", {},
    h("div", { class: "title" }, h("h1", {}, "New session"), h("div", { class: "filter" }, h("label", { for: "filter" }, "Find"), filter)), found);
  let forms = [];
  let services = [];

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/);
    const fits = (one) => words.every((word) => `${one.name} ${one.title} ${one.description}`.toLowerCase().includes(word));
    const usable = (one, other) => one.problems.length - other.problems.length || (one.title || one.name).localeCompare(other.title || other.name);
    const some = [...forms.filter(fits)].sort(usable);
    const others = services.filter((one) => fits(one) && (one.workflows.length === 0 || words.some(Boolean))).sort(usable);
    fill(found,
      h("h2", { class: "unseen" }, "With a form"),
      some.length > 0 && h("ul", { class: "cards tiles" }, some.map((one) => tile(one, one.name))),
      others.length > 0 && h("section", { "aria-labelledby": "plain" }, h("h2", { id: "plain" }, "Services without a form"), h("ul", { class: "cards tiles" }, others.map((one) => tile(one, "service")))),
      some.length + others.length === 0 && h("div", { class: "empty" }, h("p", { class: "phrase" }, "Nothing of that name."), h("p", { class: "soft" }, "Services are folders; adding one is a matter of one script.")));
  }

  filter.addEventListener("input", draw);
  Promise.all([ask("/v1/workflows"), ask("/v1/services")]).then(([one, other]) => { forms = one; services = other; draw(); })
    .catch((error) => fill(found, trouble(error)));
  return { element, title: "New session" };
}
