// Small dialogues. Escape closes them; the focus goes back to where it was.

import { button, goTo, h, unique } from "./dom.js";

// Show a dialogue. What was focused before it may have been drawn anew meanwhile.
export function open(box) {
  const { key } = document.activeElement.dataset;
  box.addEventListener("close", () => {
    box.remove();
    if (!document.activeElement || document.activeElement === document.body) goTo(key);
  });
  document.body.append(box);
  box.showModal();
}

// What a dialogue asks is about the view below it, and goes with it.
export function closeAll() {
  for (const box of document.querySelectorAll("dialog")) box.close();
}

// Open a dialogue with a title; resolves, when it is closed, to what `close` was given.
export function dialogue(title, build, kind = "") {
  return new Promise((resolve) => {
    const id = unique("title");
    let result;
    const close = (value) => { result = value; box.close(); };
    const box = h("dialog", { "aria-labelledby": id, class: kind || null, onclose: () => resolve(result) }, h("h2", { id }, title));
    box.append(...[build(close)].flat());
    open(box);
  });
}

export const confirm = (title, text, yes, no = "Cancel") => dialogue(title, (close) => [
  h("p", {}, text),
  h("div", { class: "actions end" }, button(no, () => close(false)), button(yes, () => close(true), { class: "danger" })),
]);

// Ask for one line of text; undefined where it was not given.
export const prompt = (title, label, value, yes, help) => dialogue(title, (close) => {
  const id = unique("field");
  const input = h("input", { id, value, onfocus: () => input.select(), required: true, autocomplete: "off", "aria-describedby": `${id}-help` });
  return h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); close(input.value); } },
    h("label", { for: id }, label), input, h("p", { class: "help", id: `${id}-help` }, help),
    h("div", { class: "actions end" }, button("Cancel", () => close()), h("button", { class: "primary" }, yes)));
});
