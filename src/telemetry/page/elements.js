// Makes elements. What comes from outside gets into the page here, and only as text: nothing parses it as markup, and
// the page's policy (trusted types) refuses every call that would.

const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);

/** `element("td", { class: "n", text: 3 }, child…)`; functions become listeners, `null` and `false` are left out. */
export function element(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

export function drawing(name, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

export function icon(name) {
  return drawing("svg", { class: "icon", "aria-hidden": "true" }, drawing("use", { href: `#i-${name}` }));
}

/** Sets the text where it differs: what stands is left alone, and so is a selection in it. */
export function say(node, text) {
  const words = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== words) node.textContent = words;
}

export function mark(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/**
 * Makes the children of `parent` be one for each item, in order, and keeps those that are there already: focus,
 * selection and open menus survive a tick. Children without a key stand before them, and are left alone.
 */
export function keep(parent, items, key, make, update) {
  const before = new Map();
  const kept = [...parent.children].filter((child) => child.dataset.key !== undefined);
  for (const child of kept) before.set(child.dataset.key, child);
  let place = kept[0] ?? null;
  for (const item of items) {
    const name = String(key(item));
    let child = before.get(name);
    before.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update?.(child, item);
  }
  for (const child of before.values()) child.remove();
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = String(value);
    else if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
