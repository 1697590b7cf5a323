// A chart of the last 15 minutes: one big number of now, a legend that is also the reading, and the curves.

import { Canvas } from "./canvas.js";
import { point, pointed, watch } from "./cursor.js";
import { element, say } from "./elements.js";
import { palette } from "./palette.js";
import { clock } from "./words.js";

/** Every chart keeps these free: the scale's words above, the time's below. */
export const FOOT = 18;
const HEAD = 6;
/** CSS pixels a point: more points than that are noise, not news. */
const GRAIN = 2;
/** As wide as this there is room for long words below. */
const ROOMY = 200;

export class Chart {
  /**
   * `series`: `{ label, colour, value(entry), area, stacked, dashed }`, the first is the big number. `format` says a value,
   * `floor` is the least that the scale reaches up to, `logarithmic` is for durations.
   */
  constructor(parent, memory, { title, unit, series, format, floor = 1, logarithmic = false }) {
    Object.assign(this, { memory, series, format, floor, logarithmic });
    this.big = element("b", { class: "big", text: "–" });
    this.when = element("small", { text: unit });
    this.unit = unit;
    this.readings = series.map(() => element("b", { text: "–" }));
    const legend = series.map((one, place) => element("li", {}, swatch(one), element("span", { text: one.label }), this.readings[place]));
    parent.append(element("h2", { text: title }),
      element("p", { class: "headline" }, this.big, this.when), element("ul", { class: "legend" }, ...legend));
    this.canvas = new Canvas(parent, (...surface) => this.#draw(...surface),
      { tabindex: 0, role: "img", "aria-label": `${title}, the last 15 minutes` });
    watch(() => this.show());
    listen(this.canvas.node, memory);
  }

  show() {
    const second = pointed() ?? this.memory.now;
    const entry = this.memory.at(second);
    const values = this.series.map((one) => (entry ? one.value(entry) ?? null : null));
    say(this.big, this.format(this.series[0].total && entry ? this.series[0].total(entry) : values[0]));
    values.forEach((value, place) => say(this.readings[place], this.format(value)));
    say(this.when, pointed() === null ? this.unit : `${this.unit}, ${clock(second * 1000)}`);
    this.canvas.ask();
  }

  #draw(context, width, height) {
    const colours = palette();
    const plot = { top: HEAD, bottom: height - FOOT, width };
    const step = Math.max(1, Math.ceil((this.memory.span * GRAIN) / width));
    const rows = this.series.map((one) => buckets(this.memory, step, one));
    stack(rows, this.series);
    const scale = this.logarithmic ? logarithmicScale(rows, plot) : linearScale(rows, plot, this.floor);
    grid(context, colours, plot, scale);
    for (let place = rows.length - 1; place >= 0; place -= 1) {
      curve(context, plot, scale, rows[place], { ...this.series[place], colour: colours[this.series[place].colour] }, colours);
    }
    scaleWords(context, colours, plot, scale, this.format);
    timeWords(context, colours, width, height, this.memory.span);
    hair(context, colours, plot, this.memory);
  }
}

/** Pointing with a pointer or the arrow keys moves the one cursor of the page. */
export function listen(node, memory) {
  node.addEventListener("pointermove", (event) => {
    const share = event.offsetX / node.clientWidth;
    point(Math.round(memory.now - (1 - share) * (memory.span - 1)));
  });
  node.addEventListener("pointerleave", () => point(null));
  node.addEventListener("blur", () => point(null));
  node.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = (pointed() ?? memory.now) + by * (event.shiftKey ? 30 : 5);
    point(Math.max(memory.now - memory.span + 1, Math.min(memory.now, next)));
  });
}

export const placeOf = (second, memory, width) => ((second - memory.now + memory.span - 1) / (memory.span - 1)) * width;

function swatch(one) {
  return element("i", { class: `swatch ${one.colour} ${one.dashed ? "dashed" : ""}`, "aria-hidden": "true" });
}

/** One value for every `step` seconds: the mean of a flow, the worst of a duration; null where nothing is known. */
function buckets(memory, step, one) {
  const values = [];
  const first = memory.now - memory.span;
  for (let end = memory.now; end > first; end -= step) {
    let [sum, most, seen] = [0, null, 0];
    for (let second = end; second > end - step; second -= 1) {
      const entry = memory.at(second);
      const value = entry ? one.value(entry) : null;
      if (value === null || value === undefined) continue;
      sum += value;
      seen += 1;
      most = most === null ? value : Math.max(most, value);
    }
    values.unshift(seen === 0 ? null : one.worst ? most : sum / seen);
  }
  return values;
}

/** Stacked series stand on the sum of those before. */
function stack(rows, series) {
  let under = null;
  rows.forEach((row, place) => {
    if (!series[place].stacked) return;
    if (under) row.forEach((value, at) => { if (value !== null) row[at] = value + (under[at] ?? 0); });
    under = row;
  });
}

function linearScale(rows, plot, floor) {
  const most = niceAbove(Math.max(floor, ...rows.flat().filter((value) => value !== null)));
  const y = (value) => plot.bottom - (value / most) * (plot.bottom - plot.top);
  return { y, marks: [most / 2, most], zero: plot.bottom };
}

function logarithmicScale(rows, plot) {
  const values = rows.flat().filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(1000, ...values)));
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(1000, ...values))));
  const y = (value) => plot.bottom - ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (plot.bottom - plot.top);
  return { y, marks: Array.from({ length: high - low }, (_, at) => 10 ** (low + at + 1)), zero: plot.bottom };
}

/** Times a power of ten: halves of it are round enough too. */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.6, 2, 3, 4, 5, 6, 8, 10].find((nice) => nice * power >= value) * power;
}

function grid(context, colours, plot, scale) {
  context.fillStyle = colours.line;
  for (const mark of scale.marks) context.fillRect(0, Math.round(scale.y(mark)), plot.width, 1);
  context.fillRect(0, plot.bottom, plot.width, 1);
}

/** Over the curves, with a rim of the ground: a curve must not strike a number out. */
function scaleWords(context, colours, plot, scale, format) {
  context.font = `${0.72 * colours.rem}px ${colours.font}`;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.lineJoin = "round";
  context.lineWidth = 4;
  for (const mark of scale.marks) {
    const y = Math.round(scale.y(mark)) + 3;
    context.strokeStyle = colours.panel;
    context.strokeText(format(mark), 1, y);
    context.fillStyle = colours.quiet;
    context.fillText(format(mark), 1, y);
  }
}

function curve(context, plot, scale, row, one, colours) {
  const x = (at) => (row.length === 1 ? 0 : (at / (row.length - 1)) * plot.width);
  context.beginPath();
  let open = -1;
  row.forEach((value, at) => {
    if (value === null) {
      if (one.area && open >= 0) shut(context, x(open), x(at - 1), scale.zero);
      open = -1;
    } else if (open < 0) {
      open = at;
      context.moveTo(x(at), one.area ? scale.zero : scale.y(value));
      context.lineTo(x(at), scale.y(value));
    } else {
      context.lineTo(x(at), scale.y(value));
    }
  });
  if (one.area && open >= 0) shut(context, x(open), x(row.length - 1), scale.zero);
  if (one.area) fill(context, one, colours);
  else line(context, one);
}

function shut(context, from, to, zero) {
  context.lineTo(to, zero);
  context.lineTo(from, zero);
}

/** A stacked area first covers what is behind it, so that its own colour stays what the legend shows. */
function fill(context, one, colours) {
  context.fillStyle = colours.panel;
  if (one.stacked) context.fill();
  context.globalAlpha = one.stacked ? 0.85 : 0.22;
  context.fillStyle = one.colour;
  context.fill();
  context.globalAlpha = 1;
  if (!one.stacked) line(context, one);
}

function line(context, one) {
  context.strokeStyle = one.colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.setLineDash(one.dashed ? [4, 3] : []);
  context.stroke();
  context.setLineDash([]);
}

export function timeWords(context, colours, width, height, span) {
  context.font = `${0.72 * colours.rem}px ${colours.font}`;
  context.fillStyle = colours.quiet;
  context.textBaseline = "bottom";
  const begin = width > ROOMY ? `${span / 60} min ago` : `${span / 60} min`;
  const between = [10, 5, 1].filter((minutes) => minutes * 60 < span && span <= minutes * 180);
  const inner = between.map((minutes) => [1 - (minutes * 60) / span, String(minutes), "center"]);
  const words = [[0, begin, "left"], ...inner, [1, "now", "right"]];
  for (const [share, word, align] of words) {
    context.textAlign = align;
    context.fillText(word, share * width, height);
  }
}

export function hair(context, colours, plot, memory) {
  if (pointed() === null) return;
  context.fillStyle = colours.text;
  context.globalAlpha = 0.6;
  context.fillRect(Math.round(placeOf(pointed(), memory, plot.width)), plot.top, 1, plot.bottom - plot.top);
  context.globalAlpha = 1;
}
