// Numbers as people read them, and elements that hold text and nothing else.

const three = v => v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0);
const count = n => String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
const time = ns => ns < 999.5 ? `${ns.toFixed(0)} ns` : ns < 999.5e3 ? `${three(ns / 1e3)} us`
  : ns < 999.5e6 ? `${three(ns / 1e6)} ms` : `${three(ns / 1e9)} s`;
const rate = r => r >= 999.5 ? count(r) : three(r);
const bytes = n => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1024; at += 1; }
  return at ? `${three(n)} ${units[at]}` : `${n.toFixed(0)} B`;
};
const percent = share => {
  const p = share * 100;
  if (p === 0) return '0 %';
  if (p < 0.01) return '<0.01 %';
  if (p < 9.995) return `${p.toFixed(2)} %`;
  return p >= 100 ? '100 %' : p > 99.9 ? '>99.9 %' : `${p.toFixed(1)} %`;
};
const seconds = ms => `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;

// The value that the share q of the counts does not exceed; pairs are [value, count] in rising order.
const total = pairs => pairs.reduce((sum, pair) => sum + pair[1], 0);
const quantile = (pairs, q) => {
  const wanted = Math.max(1, Math.ceil(q * total(pairs)));
  let seen = 0;
  for (const [value, n] of pairs) {
    seen += n;
    if (seen >= wanted) return value;
  }
  return 0;
};
const highest = pairs => pairs.length ? pairs[pairs.length - 1][0] : 0;
const mean = pairs => pairs.length ? pairs.reduce((sum, [v, n]) => sum + v * n, 0) / total(pairs) : 0;

// Text always becomes a text node: what a server sent can be read on this page, but it cannot act.
const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.map(child => child instanceof Node ? child : String(child)));
  return node;
};
const SVG = 'http://www.w3.org/2000/svg';
const svg = (name, attributes = {}, text) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};
const byId = id => document.getElementById(id);
const reveal = id => { const node = byId(id); node.hidden = false; return node.querySelector('.body'); };
