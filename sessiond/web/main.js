// The page: comes in with a link's key, keeps what is known up to date, shows the view that the address names.

import * as api from "./api.js";
import { endsSoon } from "./card.js";
import * as catalogue from "./catalogue.js";
import * as clusters from "./clusters.js";
import { closeAll } from "./dialogue.js";
import { announce, fill, h } from "./dom.js";
import * as form from "./form.js";
import * as session from "./session.js";
import * as all from "./sessions.js";
import * as store from "./store.js";
import { sentence, state } from "./words.js";

const VIEWS = [["sessions", "Sessions"], ["new", "New"], ["clusters", "Clusters"]];
const main = document.getElementById("main");
const KEY = /^#key=([\w-]+)$/;
let current = null;

// The parts of the address; one that was typed wrongly leads to the sessions.
function parts() {
  try {
    return location.hash.replace(/^#/, "").split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

function route() {
  const [, name = "sessions", ...rest] = parts();
  if (name === "sessions" && rest[0]) return session.view(rest[0], rest[1]);
  if (name === "new" && rest[0]) return form.view(rest.join("/"));
  if (name === "new") return catalogue.view();
  if (name === "clusters") return clusters.view();
  return all.view();
}

function show(first) {
  closeAll();
  current?.close?.();
  current = route();
  document.title = `${current.title} · sessiond`;
  fill(main, current.element);
  const at = parts()[1] || "sessions";
  fill(document.getElementById("nav"), VIEWS.map(([name, label]) => h("a", { href: `#/${name}`, "aria-current": name === at ? "page" : null, "data-key": name }, label)));
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function lock(error) {
  api.forget();
  closeAll();
  current?.close?.();
  current = null;
  document.getElementById("nav").hidden = true;
  document.title = "sessiond";
  trouble("");
  fill(main, h("div", { class: "empty" }, h("h1", {}, "This page is locked"),
    h("p", { class: "phrase" }, error?.message ? `${error.message[0].toUpperCase()}${error.message.slice(1)}.` : "It opens with a link that is good once."),
    h("p", {}, "Type ", h("kbd", {}, "sessionctl dashboard"), " in a terminal."), h("p", { class: "soft" }, "Sessions that run go on meanwhile.")));
}

function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text;
  place.hidden = !text;
}

// Say what a person who does not look at the card would want to know.
function tell(now, before) {
  if (!now || !before) return;
  if (now.state !== before.state || now.severity !== before.severity) announce(`${now.name}: ${state(now)}`);
}

const warned = new Set();
function warn() {
  for (const one of store.sessions.values()) {
    if (endsSoon(one) && !warned.has(one.id + one.ends_by)) {
      warned.add(one.id + one.ends_by);
      announce(`${one.name} ends soon`);
    }
  }
}

async function begin() {
  const key = KEY.exec(location.hash)?.[1];
  if (key) {
    history.replaceState(null, "", "#/sessions");
    await api.enter(key);
  }
  if (!api.isOpen()) return lock();
  store.listen({ told: (now, before) => { tell(now, before); if (!now) warn(); current?.update?.(); }, trouble, locked: lock });
  await store.refresh();
  document.getElementById("nav").hidden = false;
  // an address of its own would be another view
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  addEventListener("hashchange", () => { if (api.isOpen() && !KEY.test(location.hash)) show(false); });
  setInterval(warn, 15000);
  show(true);
  return store.follow();
}

// a link that is opened in this very tab, where only what follows # is new
addEventListener("hashchange", () => { if (KEY.test(location.hash)) location.reload(); });
begin().catch((error) => {
  if (api.isLocked(error) || error.status === 422) lock(error);
  else trouble([error.message, error.hint].filter(Boolean).map((text) => `${sentence(text)}.`).join(" "));
});
