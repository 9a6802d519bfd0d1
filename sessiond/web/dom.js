// Elements made of names, attributes and text. Nothing here, or anywhere else in the page, turns text into markup.

const heard = new WeakMap(); // which handlers an element has

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) { made[name] = value; heard.set(made, [...heard.get(made) ?? [], name]); }
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

// The same, without touching what is as it was: what is selected, focused or half clicked stays so.
export function redraw(element, ...children) {
  const there = element !== document.activeElement && element.contains(document.activeElement);
  const key = there ? document.activeElement.dataset.key : undefined;
  merge(element, h("div", {}, ...children));
  if (there && !element.contains(document.activeElement)) goTo(key, element);
}

// What has a data-key only ever becomes what has the same: nobody who is about to press one button presses another.
const isLike = (one, other) => one.nodeName === other.nodeName && one.className === other.className && one.dataset?.key === other.dataset?.key;

function merge(old, now) {
  let at = old.firstChild;
  for (const one of [...now.childNodes]) {
    let same = at;
    while (same && !isLike(same, one)) same = same.nextSibling;
    if (!same) {
      old.insertBefore(one, at);
      continue;
    }
    while (at !== same) at = drop(at);
    become(same, one);
    at = same.nextSibling;
  }
  while (at) at = drop(at);
}

function drop(node) {
  const { nextSibling } = node;
  node.remove();
  return nextSibling;
}

function become(old, now) {
  if (now.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  for (const name of old.getAttributeNames()) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const name of now.getAttributeNames()) if (old.getAttribute(name) !== now.getAttribute(name)) old.setAttribute(name, now.getAttribute(name));
  for (const name of [...heard.get(old) ?? [], ...heard.get(now) ?? []]) old[name] = now[name];
  heard.set(old, heard.get(now) ?? []);
  merge(old, now);
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
