// One field of a form: its label, its help, the input that fits its type, and what is wrong with it.

import { announce, fill, h, unique } from "./dom.js";

const BETWEEN = "___";

export class Field {
  // `param` is as the API describes it; `changed` is called when the person has changed the value.
  constructor(param, changed) {
    this.param = param;
    this.touched = false;
    this.id = unique("field");
    this.problem = h("p", { class: "wrong", id: `${this.id}-wrong` });
    this.help = h("p", { class: "help", id: `${this.id}-help` }, param.help);
    this.about = h("p", { class: "help", id: `${this.id}-about` });
    this.remark = h("p", { class: "remark", id: `${this.id}-remark` });
    this.input = this.#made();
    this.input.id = this.id;
    this.input.setAttribute("aria-describedby", ["help", "about", "remark", "wrong"].map((part) => `${this.id}-${part}`).join(" "));
    if (param.required) this.input.setAttribute("aria-required", "true");
    for (const event of ["input", "change"]) this.input.addEventListener(event, () => { this.touched = true; changed(this); });
    const label = h("label", { for: this.id }, param.label || param.name.split(".").pop(), param.required && h("span", { class: "soft" }, " (required)"));
    const box = param.type === "boolean";
    this.element = h("div", { class: box ? "field check" : "field" }, box ? [this.input, label] : [label, this.input], param.help && this.help, this.about, this.remark, this.problem);
  }

  #made() {
    const { type, secret, min, max, multiple } = this.param;
    if (type === "boolean") return h("input", { type: "checkbox" });
    if (type === "select") return h("select", { multiple: Boolean(multiple) });
    if (type === "textarea") return h("textarea", { rows: "5", spellcheck: "false", dir: "auto" });
    if (type === "integer") return h("input", { type: "text", inputmode: "numeric", autocomplete: "off", placeholder: min !== null && max !== null && min !== undefined ? `${min} to ${max}` : null });
    return h("input", { type: secret ? "password" : "text", autocomplete: secret ? "new-password" : "off", spellcheck: "false", dir: "auto" });
  }

  // Its choices; what is chosen stays chosen where it still can be. Whether a person's choice is lost with this.
  offer(options) {
    if (this.param.type !== "select") return false;
    const shown = JSON.stringify(options);
    if (shown === this.shown) return false;
    this.shown = shown;
    const before = [...this.input.selectedOptions].map((one) => one.value);
    fill(this.input, options.map((one) => h("option", { value: one.value }, one.label || one.value)));
    if (!this.touched) return false;
    this.touched = before.every((value) => options.some((one) => one.value === value));
    if (this.touched) for (const one of this.input.options) one.selected = before.includes(one.value);
    return !this.touched;
  }

  get value() {
    if (this.param.type === "boolean") return this.input.checked ? "true" : "false";
    if (this.param.multiple) return [...this.input.selectedOptions].map((one) => one.value).join(",");
    return this.input.value;
  }

  // Show a value that the person has not typed.
  put(text) {
    if (this.touched) return;
    if (this.param.type === "boolean") this.input.checked = text === "true";
    else if (this.param.multiple) for (const one of this.input.options) one.selected = text.split(text.includes(BETWEEN) ? BETWEEN : ",").includes(one.value);
    else if (this.input.value !== text) this.input.value = text;
  }

  // Names to choose from beside whatever one types, with words about each; `usual` is what an empty field means.
  suggest(choices, usual = "") {
    if (this.input.type !== "text") return;
    this.input.placeholder = usual;
    const shown = JSON.stringify(choices);
    if (shown === this.shown) return;
    this.shown = shown;
    if (!this.list) {
      this.list = h("datalist", { id: `${this.id}-list` });
      this.element.append(this.list);
      this.input.setAttribute("list", this.list.id);
      this.input.removeAttribute("autocomplete"); // where it is off, Firefox offers no list either
    }
    // Firefox shows a label in the place of the name
    fill(this.list, choices.map((one) => h("option", { value: one.name, label: one.text && `${one.name}: ${one.text}` })));
  }

  // Other words for what it wants.
  explain(text) {
    this.help.textContent = text;
  }

  // What to know about what is in it, without being wrong: a remark, and plain words.
  note(remark = "", about = "") {
    fill(this.about, about);
    if (remark && remark !== this.remarked) announce(remark);
    this.remarked = remark;
    this.remark.textContent = remark && `${remark[0].toUpperCase()}${remark.slice(1)}.`;
  }

  complain(texts) {
    this.problem.textContent = texts.join("\n");
    if (texts.length) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}
