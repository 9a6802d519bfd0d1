// Scripts to be read.

import { h } from "./dom.js";
import { plain } from "./words.js";

// The job's own script first, what every session has alike last.
const rank = (name) => ["job.sh", "session.sh", "run.sh"].indexOf(name) + 1 || (name.startsWith("lib/") ? 9 : 5);

export function scripts(files) {
  const names = Object.keys(files).sort((one, other) => rank(one) - rank(other));
  return names.map((name, at) => h("details", { open: at === 0 }, h("summary", {}, name),
    h("pre", { class: "text", tabindex: "0", "aria-label": name }, plain(files[name]))));
}
