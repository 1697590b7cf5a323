// The colours of the style sheet, for canvases: one place says what they are, in both themes.

const NAMES = ["ground", "panel", "line", "text", "quiet", "flow", "flow2", "flow3", "warn", "bad"];
const probe = document.createElement("i");
let colours = null;

export function palette() {
  colours ??= read();
  return colours;
}

export function repaint() {
  colours = null;
}

function read() {
  probe.hidden = true;
  document.body.append(probe);
  const found = Object.fromEntries(NAMES.map((name) => [name, colour(name)]));
  found.font = getComputedStyle(document.body).fontFamily;
  found.rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  probe.remove();
  return found;
}

function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
