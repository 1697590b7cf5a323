// The latency heat map: time to the right, duration upwards, the darker or brighter the more requests. A cell is a
// question that the log can answer: which requests were these?

import { Canvas } from "./canvas.js";
import { FOOT, hair, timeWords } from "./chart.js";
import { point, watch } from "./cursor.js";
import { say } from "./elements.js";
import { palette } from "./palette.js";
import { clock, duration, some } from "./words.js";

/** CSS pixels that a cell is wide at least: a finger or a pointer has to meet it. */
const CELL = 5;
/** Rows that are shown at least, so that a quiet balancer does not look like a stripe. */
const ROWS_MIN = 10;
const SHADES = 6;

/** How late what has ended may be counted. */
const REPORT_MS = 1000;

export class Heatmap {
  /** `open(cell)` shows the lines of `{ from_ms, until_ms, over_us, upto_us, words }`. */
  constructor(parent, readout, memory, open) {
    Object.assign(this, { readout, memory, open, bounds: [], chosen: null });
    this.hint = readout.textContent;
    this.canvas = new Canvas(parent, (...surface) => this.#draw(...surface),
      { tabindex: 0, role: "application", "aria-label": "Latency heat map: arrow keys choose a cell, Enter shows its log lines", "aria-describedby": readout.id });
    this.#listen(this.canvas.node);
    watch(() => this.canvas.ask());
  }

  show(bounds) {
    this.bounds = bounds;
    this.#read();
    this.canvas.ask();
  }

  #listen(node) {
    node.addEventListener("pointermove", (event) => this.#choose(this.#cellAt(event)));
    node.addEventListener("pointerleave", () => this.#choose(null));
    node.addEventListener("blur", () => this.#choose(null));
    node.addEventListener("click", (event) => {
      this.#choose(this.#cellAt(event));
      this.#enter();
    });
    node.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Enter") this.#enter();
    if (!by || !this.layout) return;
    event.preventDefault();
    const { step, low, high } = this.layout;
    const from = this.chosen ?? { end: align(this.memory.now, step), bucket: Math.round((low + high) / 2) };
    const end = from.end + by[0] * step;
    if (end > this.memory.now + step || end <= this.memory.now - this.memory.span) return;
    this.#choose({ end, bucket: Math.max(low, Math.min(high, from.bucket + by[1])) });
  }

  #enter() {
    const cell = this.chosen && this.#cell(this.chosen);
    if (cell) this.open(cell);
  }

  #choose(cell) {
    this.chosen = cell;
    point(cell ? Math.min(cell.end, this.memory.now) : null);
    this.#read();
    this.canvas.ask();
  }

  #read() {
    if (!this.chosen || !this.layout) return say(this.readout, this.hint);
    const cell = this.#cell(this.chosen);
    return say(this.readout, `${cell.words}: ${some(cell.count, "request")}`);
  }

  #cell({ end, bucket }) {
    const { step } = this.layout;
    const over_us = bucket === 0 ? null : this.bounds[bucket - 1];
    const upto_us = this.bounds[bucket] ?? null;
    const from_ms = (end - step) * 1000;
    const between = upto_us === null ? `over ${duration(over_us)}` : `${duration(over_us ?? 0)} to ${duration(upto_us)}`;
    const words = `${clock(from_ms)} to ${clock(end * 1000)}, ${between}`;
    // A place is a tick, not a second of the clock; and what a tick counts had ended up to a second before.
    const since = (this.memory.at(end - step)?.until_ms ?? from_ms) - REPORT_MS;
    return { from_ms: since, until_ms: this.memory.at(end)?.until_ms ?? end * 1000, over_us, upto_us, words, count: this.layout.cells.get(end)?.get(bucket) ?? 0 };
  }

  #cellAt(event) {
    if (!this.layout) return null;
    const { step, low, high, rows, plot } = this.layout;
    const node = this.canvas.node;
    if (event.offsetY > plot.bottom) return null;
    const second = this.memory.now - (1 - event.offsetX / node.clientWidth) * this.memory.span;
    const row = Math.floor((plot.bottom - event.offsetY) / ((plot.bottom - plot.top) / rows));
    return { end: align(second, step), bucket: Math.max(low, Math.min(high, low + row)) };
  }

  #lay(width, height) {
    const step = Math.ceil((this.memory.span * CELL) / width);
    const cells = gather(this.memory, step);
    const used = [...cells.values()].flatMap((column) => [...column.keys()]);
    let [low, high] = [Math.min(...used, this.bounds.length), Math.max(...used, 0)];
    if (used.length === 0) [low, high] = [5, 5 + ROWS_MIN];
    while (high - low + 1 < ROWS_MIN) {
      if (low > 0) low -= 1;
      high = Math.min(this.bounds.length, high + 1);
      if (low === 0 && high === this.bounds.length) break;
    }
    const most = Math.max(1, ...[...cells.values()].flatMap((column) => [...column.values()]));
    this.layout = { step, cells, low, high, rows: high - low + 1, most, plot: { top: 4, bottom: height - FOOT, width } };
  }

  #draw(context, width, height) {
    if (this.bounds.length === 0) return;
    this.#lay(width, height);
    const colours = palette();
    const { plot, rows, step, cells } = this.layout;
    const tall = (plot.bottom - plot.top) / rows;
    const wide = (step / this.memory.span) * width;
    for (const [end, column] of cells) {
      const x = width - ((this.memory.now - end + step) / this.memory.span) * width;
      for (const [bucket, count] of column) this.#paint(context, colours, { x, wide, tall, bucket, count });
    }
    this.#scale(context, colours, tall);
    timeWords(context, colours, width, height, this.memory.span);
    hair(context, colours, plot, this.memory);
    if (this.chosen) this.#ring(context, colours, wide, tall, width);
  }

  #paint(context, colours, { x, wide, tall, bucket, count }) {
    const { plot, low, most } = this.layout;
    const shade = Math.ceil((Math.log(count + 1) / Math.log(most + 1)) * SHADES) / SHADES;
    context.globalAlpha = 0.12 + 0.88 * shade;
    context.fillStyle = colours.flow;
    const y = plot.bottom - (bucket - low + 1) * tall;
    const [left, right, top, bottom] = [x, x + wide, y, y + tall].map(Math.round);
    context.fillRect(left, top, Math.max(1, right - left - 1), Math.max(1, bottom - top - 1));
    context.globalAlpha = 1;
  }

  #scale(context, colours, tall) {
    const { plot, low, high } = this.layout;
    context.font = `${0.72 * colours.rem}px ${colours.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const every = Math.max(1, Math.ceil((2 * colours.rem) / tall));
    for (let bucket = low + every - 1; bucket < high; bucket += every) {
      const y = plot.bottom - (bucket - low + 1) * tall;
      const words = duration(this.bounds[bucket]);
      context.fillStyle = colours.panel;
      context.globalAlpha = 0.75;
      context.fillRect(0, y - 0.5 * colours.rem, context.measureText(words).width + 6, colours.rem);
      context.globalAlpha = 1;
      context.fillStyle = colours.text;
      context.fillText(words, 2, y);
    }
    context.fillStyle = colours.line;
    context.fillRect(0, plot.bottom, plot.width, 1);
  }

  #ring(context, colours, wide, tall, width) {
    const { plot, low, step } = this.layout;
    const x = width - ((this.memory.now - this.chosen.end + step) / this.memory.span) * width;
    const y = plot.bottom - (this.chosen.bucket - low + 1) * tall;
    context.strokeStyle = colours.text;
    context.lineWidth = 2;
    context.strokeRect(x, y, wide, tall);
  }
}

/** The end of the step that a second is in: steps stand on the clock, so that cells do not change as time passes. */
const align = (second, step) => Math.ceil(second / step) * step;

function gather(memory, step) {
  const cells = new Map();
  for (let second = memory.now - memory.span + 1; second <= memory.now; second += 1) {
    const column = memory.at(second)?.latency;
    if (!column) continue;
    const end = align(second, step);
    if (!cells.has(end)) cells.set(end, new Map());
    const cell = cells.get(end);
    for (const [bucket, count] of column) cell.set(bucket, (cell.get(bucket) ?? 0) + count);
  }
  return cells;
}
