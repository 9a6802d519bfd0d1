// The picture of a service or form; a letter where there is none.

import { picture, segment } from "./api.js";
import { h } from "./dom.js";

const known = new Map(); // what was fetched is shown at once, without a letter before it

export function thumbnail(path, name) {
  const made = h("span", { class: "thumb", "aria-hidden": "true" }, (name[0] ?? "?").toUpperCase());
  const show = (url) => { if (url) made.replaceChildren(h("img", { src: url, alt: "", width: "120", height: "120" })); };
  if (known.has(path)) show(known.get(path));
  else if (path) picture(path).then((url) => { known.set(path, url); show(url); });
  return made;
}

export const path = (workflow) => {
  const kind = workflow.includes("/") ? "workflows" : "services";
  return `/v1/${kind}/${workflow.split("/").map(segment).join("/")}/thumbnail`;
};
