// Client, listener, route, backend, node: bands as wide as what flows through them.

import { drawing, element, keep, mark, say } from "./elements.js";
import { count } from "./words.js";

const [HEIGHT_MIN, ROW, GAP, HEAD] = [240, 28, 8, 28];
const COLUMNS = ["Clients", "Listeners", "Routes", "Backends", "Nodes"];
/** The parts of the width that the boxes of each column take; bands have the rest. Addresses are the longest. */
const SHARES = [0.09, 0.13, 0.18, 0.14, 0.25];
/** CSS pixels of an average letter of a label. */
const LETTER = 6.6;
/** Below this width only the last columns are shown, from routes on: there is no room to read five. */
const NARROW = 560;
const NARROW_FIRST = 2;
/** A box as tall as this has its number below its name. */
const TWO_LINES = 48;
/** Boxes of a column; the rest is one box that says how many they are. */
const BOXES_MAX = 12;

export class Topology {
  /** `choose(filter)` shows the log lines of a box. */
  constructor(parent, choose) {
    this.choose = choose;
    this.bands = drawing("g");
    this.boxes = drawing("g");
    this.heads = COLUMNS.map((words) => drawing("text", { class: "column", y: 14, text: words }));
    this.root = drawing("svg", { class: "topology", role: "group", "aria-label": "Flow from clients to nodes" },
      ...this.heads, this.bands, this.boxes);
    parent.append(this.root);
    this.parent = parent;
    new ResizeObserver(() => this.last && this.show(...this.last)).observe(parent);
  }

  show(topology, tick) {
    this.last = [topology, tick];
    const width = this.parent.clientWidth;
    const plan = new Plan(width);
    const all = graph(topology, tick);
    const columns = all.columns.slice(plan.first);
    const links = all.links.filter((link) => link.from.column >= plan.first);
    this.parent.style.minHeight = `${needed(columns)}px`;
    const height = Math.max(needed(columns), this.parent.clientHeight);
    place(columns, links, plan, height);
    this.heads.forEach((head, column) => {
      mark(head, "x", plan.left(column));
      mark(head, "visibility", column < plan.first ? "hidden" : "visible");
    });
    mark(this.root, "width", width);
    mark(this.root, "height", height);
    keep(this.bands, links, (link) => `${link.from.key} ${link.to.key}`, band, (node, link) => bend(node, link));
    keep(this.boxes, columns.flat(), (box) => box.key, (box) => this.#box(box), label);
  }

  #box(box) {
    const open = () => box.filter && this.choose(box.filter);
    const node = drawing("g", box.filter
      ? { class: "box link", tabindex: 0, role: "button", click: open, keydown: (event) => event.key === "Enter" && open() }
      : { class: "box" });
    node.append(drawing("title"), drawing("rect", { rx: 3 }), drawing("rect", { class: "edge", width: 3 }),
      drawing("text", { class: "name", x: 10 }), drawing("text", { class: "rate" }));
    return node;
  }
}

const sum = (shares) => shares.reduce((all, share) => all + share, 0);

/** Where the columns stand in a width. Bands between two columns are all of one length. */
class Plan {
  constructor(width) {
    this.first = width < NARROW ? NARROW_FIRST : 0;
    this.width = width;
    this.stretch = sum(SHARES) / sum(SHARES.slice(this.first));
  }

  wide(column) {
    return this.width * SHARES[column] * this.stretch;
  }

  left(column) {
    const boxes = sum(SHARES.slice(this.first, Math.max(this.first, column))) * this.stretch;
    const bands = ((column - this.first) * (1 - sum(SHARES))) / (COLUMNS.length - 1 - this.first);
    return this.width * (boxes + Math.max(0, bands));
  }
}

function graph(topology, tick) {
  const columns = COLUMNS.map(() => new Map());
  const box = (column, name, more = {}) => {
    const key = `${column} ${name}`;
    if (!columns[column].has(key)) columns[column].set(key, { key, name, column, rate: 0, errors: 0, ...more });
    return columns[column].get(key);
  };
  box(0, "all", { name: "All" });
  for (const one of topology.listeners) box(1, one.name);
  for (const one of topology.routes) box(2, one.name, { filter: `route=${quoted(one.name)}` });
  for (const one of topology.backends) box(3, one.name, { filter: `backend=${quoted(one.name)}` });
  for (const node of tick.nodes) {
    box(4, node.id, { name: node.address, filter: `node=${quoted(node.id)}`, state: node.state });
  }
  const links = new Map();
  const link = (from, to, rate, errors) => {
    const key = `${from.key} ${to.key}`;
    const one = links.get(key) ?? { from, to, rate: 0, errors: 0 };
    one.rate += rate;
    one.errors += errors;
    links.set(key, one);
  };
  const clients = columns[0].values().next().value;
  for (const flow of tick.flows) {
    const listener = box(1, flow.listener);
    const route = box(2, flow.route, flow.route === "" ? { name: "(no route)" } : {});
    const backend = box(3, flow.backend, flow.backend === "" ? { name: "(answered here)" } : {});
    link(clients, listener, flow.rps, flow.errors_per_s);
    link(listener, route, flow.rps, flow.errors_per_s);
    link(route, backend, flow.rps, flow.errors_per_s);
  }
  for (const route of topology.routes) if (route.backend) link(box(2, route.name), box(3, route.backend), 0, 0);
  for (const node of tick.nodes) link(box(3, node.backend), box(4, node.id), node.rps, node.errors_per_s);
  return shorten(columns.map((column) => [...column.values()]), [...links.values()]);
}

/** Adds up what flows through a box, and folds the boxes beyond the most that a column shows. */
function shorten(columns, links) {
  for (const box of columns.flat()) {
    const through = links.filter((link) => (box.column === 0 ? link.from === box : link.to === box));
    box.rate = through.reduce((sum, link) => sum + link.rate, 0);
    box.errors = through.reduce((sum, link) => sum + link.errors, 0);
  }
  const shown = columns.map((boxes, column) => {
    if (boxes.length <= BOXES_MAX) return boxes;
    const ranked = [...boxes].sort((a, b) => b.rate - a.rate);
    const rest = { key: `${column} …`, name: `${boxes.length - BOXES_MAX + 1} more`, column, rate: 0, errors: 0 };
    for (const box of ranked.slice(BOXES_MAX - 1)) {
      rest.rate += box.rate;
      rest.errors += box.errors;
      box.into = rest;
    }
    return [...boxes.filter((box) => !box.into), rest];
  });
  const merged = new Map();
  for (const { from, to, rate, errors } of links) {
    const [start, end] = [from.into ?? from, to.into ?? to];
    const key = `${start.key} ${end.key}`;
    const one = merged.get(key) ?? { from: start, to: end, rate: 0, errors: 0 };
    one.rate += rate;
    one.errors += errors;
    merged.set(key, one);
  }
  return { columns: shown, links: [...merged.values()] };
}

/** As tall as the fullest column needs. */
function needed(columns) {
  return Math.max(HEIGHT_MIN, HEAD + Math.max(...columns.map((boxes) => boxes.length)) * (ROW + GAP) + 40);
}

/** Gives every box its place and every band its two ends. */
function place(columns, links, plan, height) {
  const total = Math.max(1e-9, sum(columns[0].map((box) => box.rate)));
  for (const boxes of columns) {
    const free = height - HEAD - boxes.length * (ROW + GAP);
    let y = HEAD;
    const most = Math.max(total, sum(boxes.map((box) => box.rate)));
    for (const box of boxes) {
      box.x = plan.left(box.column);
      box.width = plan.wide(box.column);
      box.height = ROW + (box.rate / most) * free;
      box.y = y;
      box.in_at = box.out_at = y;
      y += box.height + GAP;
    }
    const slack = (height - y) / 2;
    for (const box of boxes) { box.y += Math.max(0, slack); box.in_at = box.out_at = box.y; }
  }
  // In the order of what they lead to, bands of one box do not cross.
  links.sort((a, b) => a.from.y - b.from.y || a.to.y - b.to.y);
  for (const link of links) {
    const widths = [share(link, "from", links), share(link, "to", links)];
    link.start = { y: link.from.out_at, wide: widths[0] };
    link.end = { y: link.to.in_at, wide: widths[1] };
    link.from.out_at += widths[0];
    link.to.in_at += widths[1];
  }
}

/** The part of a box's side that a band takes. What comes in and what goes out is counted apart, and never quite the same. */
function share(link, side, links) {
  const all = sum(links.filter((one) => one[side] === link[side]).map((one) => one.rate));
  return all > 0 ? (link.rate / Math.max(all, link[side].rate)) * link[side].height : 0;
}

const band = () => drawing("path", { class: "band" }, drawing("title"));

function bend(node, { from, to, start, end, rate, errors }) {
  const [x1, x2] = [from.x + from.width, to.x];
  const middle = (x1 + x2) / 2;
  const [a, b] = rate > 0 ? [Math.max(1, start.wide), Math.max(1, end.wide)] : [1, 1];
  const [y1, y2] = rate > 0 ? [start.y, end.y] : [from.y + from.height / 2, to.y + to.height / 2];
  mark(node, "d", `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}V${y2 + b}C${middle} ${y2 + b} ${middle} ${y1 + a} ${x1} ${y1 + a}Z`);
  mark(node, "class", `band ${rate === 0 ? "idle" : errors / rate > 0.01 ? "failing" : ""}`);
  say(node.firstChild, `${from.name} to ${to.name}: ${count(rate)} requests/s, ${count(errors)} errors/s`);
}

function label(node, box) {
  const [title, back, edge, name, rate] = node.children;
  mark(node, "transform", `translate(${box.x} ${box.y})`);
  const failing = box.rate > 0 && box.errors / box.rate > 0.01;
  const troubled = box.state && !["serving", "warming", "starting"].includes(box.state);
  mark(node, "class", `box ${box.filter ? "link" : ""} ${failing || troubled ? "failing" : ""} ${box.rate === 0 ? "idle" : ""}`);
  for (const rect of [back, edge]) mark(rect, "height", box.height);
  mark(back, "width", box.width);
  const beside = troubled ? box.state : count(box.rate);
  const tall = box.height > TWO_LINES;
  mark(name, "y", box.height / 2 + (tall ? -3 : 4));
  mark(rate, "y", box.height / 2 + (tall ? 14 : 4));
  mark(rate, "x", tall ? 10 : box.width - 6);
  mark(rate, "class", tall ? "rate under" : "rate");
  say(name, short(box.name, Math.floor((box.width - 16) / LETTER) - (tall ? 0 : beside.length + 1)));
  say(rate, beside);
  say(title, `${box.name}${box.state ? `, ${box.state}` : ""}: ${count(box.rate)} requests/s, ${count(box.errors)} errors/s`);
}

/** What is too long loses its beginning where it is an address (its end tells it apart), else its end. */
function short(name, most) {
  if (name.length <= most) return name;
  const kept = Math.max(2, most - 1);
  return /:\d+$/.test(name) ? `…${name.slice(-kept)}` : `${name.slice(0, kept)}…`;
}

/** A name as the log filter takes it. */
export function quoted(name) {
  return /^[\w./:*-]+$/.test(name) ? name : `"${name.replace(/["\\]/g, "\\$&")}"`;
}
