// The table of nodes, a group for each backend: state, why, what next, numbers, and what can be done about it.

import { at, drawing, element, icon, keep, mark, say } from "./elements.js";
import { count, duration, percent, some, span, whole } from "./words.js";

const COLUMNS = 10;
const [SPARK_WIDTH, SPARK_HEIGHT] = [72, 20];

export class Nodes {
  /** `ask` opens the dialogs that change something. */
  constructor(memory, ask) {
    Object.assign(this, { memory, ask, table: at("nodes").querySelector("table") });
  }

  show({ tick, topology, process }) {
    const serving = tick.nodes.filter((node) => node.state === "serving").length;
    say(at("nodes_words"), tick.nodes.length ? `${serving} of ${tick.nodes.length} serving` : "");
    at("no_nodes").hidden = tick.nodes.length > 0;
    const groups = topology.backends.map((backend) => ({
      backend,
      now: tick.backends.find((one) => one.name === backend.name),
      nodes: tick.nodes.filter((node) => node.backend === backend.name),
      writable: process.writable,
    }));
    keep(this.table, groups, (group) => group.backend.name, () => this.#group(), (body, group) => this.#fill(body, group));
  }

  #group() {
    const bar = element("div", { class: "backend" }, element("b"), element("span", { class: "quiet" }),
      element("span", { class: "grow trouble" }));
    const body = element("tbody", {}, element("tr", { class: "head" }, element("th", { colspan: COLUMNS, scope: "rowgroup" }, bar)));
    const button = (words, kind) => element("button", { text: words, class: kind, click: () => this.ask.backend(kind, body.group) });
    bar.append(button("Start a node…", "start"), button("Scale…", "scale"), button("Pause scaler…", "paused"), button("Replace all…", "roll"));
    return body;
  }

  #fill(body, group) {
    body.group = group;
    const [name, words, trouble] = body.querySelector(".backend").children;
    say(name, group.backend.name);
    say(words, backendWords(group));
    say(trouble, whole(group.now?.trouble ?? ""));
    const scaling = group.now?.scaling;
    const fleet = group.backend.fleet !== null && group.writable;
    for (const button of body.querySelectorAll(".backend button")) {
      button.hidden = !fleet || (button.className !== "start" && button.className !== "roll" && !scaling);
    }
    say(body.querySelector(".paused"), scaling?.paused ? "Resume scaler…" : "Pause scaler…");
    keep(body, group.nodes, (node) => node.id, (node) => this.#row(body, node.id), (row, node) => this.#update(row, node, group));
  }

  #row(body, id) {
    const open = (wish) => this.ask.node(wish, body.group.nodes.find((node) => node.id === id), body.group);
    const cell = (label, kind, ...children) => element("td", { "data-label": label, class: kind }, ...children);
    const spark = drawing("svg", { class: "spark", width: SPARK_WIDTH, height: SPARK_HEIGHT, "aria-hidden": "true" }, drawing("polyline"));
    return element("tr", { class: "node" },
      cell("Node", "name", element("b"), element("small")),
      cell("State", "state", icon("starting"), element("span", {}, element("b"), element("small"))),
      cell("Why", "why", element("span"), element("small")),
      cell("Weight", "n", element("span")),
      cell("Requests/s", "n", element("span", { class: "rps" }, spark, element("span"))),
      cell("In flight", "n", element("span")),
      cell("p99", "n", element("span")),
      cell("Errors/s", "n", element("span")),
      cell("CPU", "n", element("span")),
      cell("Actions", "acts", element("button", { class: "quick", click: (event) => open(event.currentTarget.dataset.wish) }),
        element("button", { class: "more", text: "Change…", click: () => open(null) })));
  }

  #update(row, node, { writable }) {
    const [name, state, why, weight, rps, flight, p99, errors, cpu, acts] = row.cells;
    mark(row, "class", `node ${node.state}`);
    say(name.children[0], node.address);
    say(name.children[1], node.container ? `${node.origin}, ${node.container}` : node.origin);
    mark(state.querySelector("use"), "href", `#i-${known(node.state)}`);
    say(state.children[1].children[0], node.state);
    say(state.children[1].children[1], span(Date.now() - node.since_ms));
    say(why.children[0], whole(node.reason));
    say(why.children[1], whole(node.next));
    const numbers = [[weight, node.weight], [rps, count(node.rps)], [p99, duration(node.p99_us)],
      [errors, count(node.errors_per_s)], [cpu, percent(node.cpu_percent)],
      [flight, node.queued ? `${count(node.in_flight)} + ${count(node.queued)} queued` : count(node.in_flight)]];
    for (const [cell, words] of numbers) say([...cell.querySelectorAll("span")].at(-1), words);
    mark(errors, "class", node.errors_per_s > 0 ? "n failing" : "n");
    mark(rps.querySelector("polyline"), "points", points(this.memory.spark(node.id)));
    const wish = node.state === "draining" || node.state === "down" ? "ready" : "drain";
    mark(acts.children[0], "data-wish", wish);
    say(acts.children[0], wish === "ready" ? "Ready…" : "Drain…");
    const made = node.state === "starting";
    for (const button of acts.children) button.disabled = !writable || made;
    mark(acts, "title", made ? "It has no address yet" : writable ? "" : "The admin API takes no writes here (admin.writable)");
  }
}

const STATES = ["starting", "warming", "serving", "unhealthy", "ejected", "draining", "down"];
const known = (state) => (STATES.includes(state) ? state : "info");

function backendWords({ backend, now, nodes }) {
  const words = [backend.strategy.replaceAll("_", " "), now ? `${now.serving} of ${some(now.nodes, "node")} serving` : some(nodes.length, "node")];
  if (now) words.push(`${count(now.rps)} requests/s`, `p99 ${duration(now.p99_us)}`);
  if (now?.queued) words.push(`${count(now.queued)} queued`);
  const scaling = now?.scaling;
  if (scaling) words.push(`${scaling.running} running, ${scaling.wanted} wanted (${scaling.min} to ${scaling.max})${scaling.paused ? ", scaler paused" : ""}`);
  if (scaling?.held) words.push(`${some(scaling.held, "request")} held`);
  words.push(backend.fleet ?? "fixed nodes");
  return words.join(" · ");
}

function points(values) {
  const most = Math.max(1, ...values.filter((value) => value !== undefined));
  return values.flatMap((value, place) => (value === undefined ? [] : [
    `${((place / (values.length - 1)) * SPARK_WIDTH).toFixed(1)},${(SPARK_HEIGHT - 1.5 - (value / most) * (SPARK_HEIGHT - 3)).toFixed(1)}`,
  ])).join(" ");
}
