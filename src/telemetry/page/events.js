// What happened: the scaling lanes over the last 15 minutes, and the list of events, newest first.

import { Canvas } from "./canvas.js";
import { FOOT, hair, listen, placeOf, timeWords } from "./chart.js";
import { watch } from "./cursor.js";
import { at, element, icon, keep, say } from "./elements.js";
import { palette } from "./palette.js";
import { clock, count } from "./words.js";

const KEPT_MAX = 500;
const KINDS = [["all", "All"], ["scale", "Scaling"], ["node", "Nodes"], ["fleet", "Fleet"], ["reload", "Reloads"], ["audit", "Changes"], ["process", "Process"]];

export class Events {
  constructor(memory) {
    Object.assign(this, { memory, all: [], kind: "all", lanes: new Map() });
    at("event_kinds").append(...KINDS.map(([kind, label]) => element("button", {
      text: label, "data-kind": kind, "aria-pressed": String(kind === "all"), click: () => this.#filter(kind) })));
    watch(() => this.#draw());
  }

  reset(events) {
    this.all = events;
    this.show();
  }

  take(event) {
    this.all.push(event);
    if (this.all.length > KEPT_MAX) this.all.shift();
    this.show();
  }

  show() {
    const shown = this.all.filter((event) => this.kind === "all" || event.kind === this.kind).toReversed();
    keep(at("events"), shown, (event) => event.id, row);
    at("no_events").hidden = shown.length > 0;
  }

  /** The backends that scale have a lane each. */
  tick(backends) {
    const scaling = backends.filter((backend) => backend.scaling);
    at("lanes").hidden = scaling.length === 0;
    keep(at("lanes"), scaling, (backend) => backend.name, (backend) => this.#lane(backend.name), (lane, { scaling: now }) => {
      say(lane.querySelector("span"), `${now.running} running, ${now.wanted} wanted, ${now.min} to ${now.max} allowed${now.paused ? ", scaler paused" : ""}`);
    });
    this.#draw();
  }

  #filter(kind) {
    this.kind = kind;
    for (const button of at("event_kinds").children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    this.show();
  }

  #draw() {
    for (const [name, canvas] of this.lanes) {
      if (canvas.node.isConnected) canvas.ask();
      else this.lanes.delete(name);
    }
  }

  #lane(name) {
    const lane = element("div", { class: "lane" }, element("p", {}, element("b", { text: name }), " ", element("span", { class: "quiet" })));
    const canvas = new Canvas(lane, (...surface) => this.#paint(name, ...surface),
      { tabindex: 0, role: "img", "aria-label": `Nodes of ${name} over the last 15 minutes; the events below say the same in words` });
    listen(canvas.node, this.memory);
    this.lanes.set(name, canvas);
    return lane;
  }

  #paint(name, context, width, height) {
    const colours = palette();
    const plot = { top: 12, bottom: height - FOOT, width };
    const running = this.#steps(name);
    const most = Math.max(1, ...running.map(([, nodes]) => nodes)) + 1;
    const y = (nodes) => plot.bottom - (nodes / most) * (plot.bottom - plot.top);
    stairs(context, running, (second) => placeOf(second, this.memory, width), y, plot, colours);
    for (const event of this.#decisions(name)) flag(context, event, placeOf(event.at_ms / 1000, this.memory, width), plot, colours);
    context.fillStyle = colours.line;
    context.fillRect(0, plot.bottom, width, 1);
    timeWords(context, colours, width, height, this.memory.span);
    hair(context, colours, plot, this.memory);
  }

  #decisions(name) {
    const from = (this.memory.now - this.memory.span) * 1000;
    return this.all.filter((event) => event.kind === "scale" && event.backend === name && event.at_ms > from);
  }

  /** Second and nodes: from ticks where the page saw them, before that from the decisions. */
  #steps(name) {
    const seen = [...this.memory.fleet(name)].map(([second, scaling]) => [second, scaling.running]);
    const first = seen[0]?.[0] ?? this.memory.now;
    const told = this.#decisions(name).filter((event) => event.at_ms / 1000 < first && Number.isFinite(event.inputs?.to));
    const before = told.length ? [[this.memory.now - this.memory.span + 1, told[0].inputs.from ?? told[0].inputs.to]]
      : seen.length ? [[this.memory.now - this.memory.span + 1, seen[0][1]]] : [];
    return [...before, ...told.map((event) => [event.at_ms / 1000, event.inputs.to]), ...seen];
  }
}

function stairs(context, steps, x, y, plot, colours) {
  if (steps.length === 0) return;
  context.beginPath();
  context.moveTo(x(steps[0][0]), plot.bottom);
  let last = steps[0][1];
  for (const [second, nodes] of steps) {
    context.lineTo(x(second), y(last));
    context.lineTo(x(second), y(nodes));
    last = nodes;
  }
  context.lineTo(plot.width, y(last));
  context.lineTo(plot.width, plot.bottom);
  context.globalAlpha = 0.25;
  context.fillStyle = colours.flow;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colours.flow;
  context.lineWidth = 1.5;
  context.stroke();
  context.fillStyle = colours.text;
  context.font = `${0.8 * colours.rem}px ${colours.font}`;
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(`${last}`, plot.width - 2, y(last) - 2);
}

/** A decision: an arrow up or down where it was made. */
function flag(context, event, x, plot, colours) {
  const up = (event.inputs?.to ?? 0) >= (event.inputs?.from ?? 0);
  context.fillStyle = event.level === "info" ? colours.text : colours.warn;
  context.globalAlpha = 0.35;
  context.fillRect(Math.round(x), plot.top, 1, plot.bottom - plot.top);
  context.globalAlpha = 1;
  context.beginPath();
  context.moveTo(x - 4, up ? 9 : 2);
  context.lineTo(x + 4, up ? 9 : 2);
  context.lineTo(x, up ? 2 : 9);
  context.fill();
}

function row(event) {
  const changes = Number.isFinite(event.inputs?.from) && Number.isFinite(event.inputs?.to);
  const symbol = changes && event.kind === "scale" ? (event.inputs.to >= event.inputs.from ? "up" : "less") : event.level;
  const inputs = Object.entries(event.inputs ?? {}).filter(([name]) => name !== "from" && name !== "to");
  return element("li", { class: `event ${event.level}` },
    element("time", { text: clock(event.at_ms) }), icon(["info", "warning", "error", "up", "less"].includes(symbol) ? symbol : "info"),
    element("div", {}, element("p", {}, element("span", { text: event.text })),
      element("p", { class: "tags" }, element("span", { text: event.kind }),
        event.level !== "info" && element("span", { class: event.level, text: event.level }),
        event.backend && element("span", { text: event.backend }), event.rule && element("span", { class: "rule", text: `rule: ${event.rule}` }),
        ...inputs.map(([name, value]) => element("span", { text: `${name.replaceAll("_", " ")} ${count(value)}` })))));
}
