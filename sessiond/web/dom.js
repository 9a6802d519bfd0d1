// Elements made of names, attributes and text. Nothing here, or anywhere else in the page, turns text into markup.

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false && one !== ""));
  return made;
}

// Put other children into an element. Who was on something with a data-key is on its successor afterwards; where there is
// none, on the name of what this is about, or at the beginning of the view, and never nowhere.
export function fill(element, ...children) {
  const there = element !== document.activeElement && element.contains(document.activeElement);
  const key = there ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (there) goTo(key, element);
}

// Focus what has a data-key, or what is nearest to it in meaning.
export function goTo(key, within) {
  const same = key === undefined ? null : (within ?? document).querySelector(`[data-key="${CSS.escape(key)}"]`);
  (same ?? within?.querySelector('[data-key$=" name"]') ?? document.getElementById("main")).focus({ preventScroll: true });
}

export function button(label, action, attributes = {}) {
  return h("button", { type: "button", onclick: action, ...attributes }, label);
}

// Say something to those who cannot see it change.
export function announce(text) {
  document.getElementById("news").textContent = text;
}

let numbers = 0;
export const unique = (word) => `${word}-${++numbers}`;
