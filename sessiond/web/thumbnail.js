// The picture of a service or form; a letter where there is none.

import { picture, segment } from "./api.js";
import { h } from "./dom.js";

export function thumbnail(path, name) {
  const made = h("span", { class: "thumb", "aria-hidden": "true" }, (name[0] ?? "?").toUpperCase());
  if (path) {
    picture(path).then((url) => {
      if (url) made.replaceChildren(h("img", { src: url, alt: "", width: "120", height: "120" }));
    });
  }
  return made;
}

export const path = (workflow) => {
  const kind = workflow.includes("/") ? "workflows" : "services";
  return `/v1/${kind}/${workflow.split("/").map(segment).join("/")}/thumbnail`;
};
