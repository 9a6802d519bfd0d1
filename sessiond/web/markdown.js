// As much of Markdown as descriptions use: headings, paragraphs, lists, code and emphasis. Elements are made, no markup.

import { h } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

export function inline(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    found.push(text.slice(at, match.index));
    const [whole, code, strong, soft, label, target] = match;
    if (code) found.push(h("code", {}, code));
    else if (strong) found.push(h("strong", {}, strong));
    else if (soft) found.push(h("em", {}, soft));
    else if (/^https?:\/\//.test(target)) found.push(h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label));
    else found.push(label);
    at = match.index + whole.length;
  }
  return [...found, text.slice(at)];
}

export function markdown(text) {
  return text.trim().split(/\n\s*\n/).map((block) => {
    const lines = block.split("\n").map((line) => line.trim());
    if (lines[0].startsWith("#")) return [h("p", { class: "strong" }, inline(lines[0].replace(/^#+\s*/, ""))), lines.length > 1 && h("p", {}, inline(lines.slice(1).join(" ")))];
    if (/^[*-] /.test(lines[0])) {
      const items = lines.join("\n").split(/\n?[*-] /).filter(Boolean);
      return h("ul", {}, items.map((item) => h("li", {}, inline(item.replace(/\n/g, " ")))));
    }
    return h("p", {}, inline(lines.join(" ")));
  });
}

// The first paragraph that is none of its headings, as plain text.
export function firstWords(text) {
  const blocks = text.trim().split(/\n\s*\n/).map((block) => block.replace(/^#.*$/m, "").trim());
  return (blocks.find(Boolean) ?? "").replace(/\s+/g, " ").replace(/[`*]/g, "").replace(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}
