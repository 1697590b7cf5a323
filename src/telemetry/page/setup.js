// The configuration in force, its last reload and what that changed, and the process.

import { at, element, icon, mark, say } from "./elements.js";
import { bytes, count, day, exact, percent, span } from "./words.js";

const HASH_SHOWN = 12;

export function showSetup({ tick, config, process }) {
  reloaded(config.last_reload);
  facts([
    ["File", config.text_path],
    ["Fingerprint", config.hash.slice(0, HASH_SHOWN), config.hash],
    ["Version", process.version],
    ["Up for", span(tick.uptime_ms), day(process.started_ms)],
    ["Driver", process.driver_reason ? `${process.driver} (${process.driver_reason})` : process.driver],
    ["Workers", `${process.workers}${skew(tick.totals.connections_by_worker)}`],
    ["Connections", `${count(tick.totals.connections)}, ${count(tick.totals.connects_per_s)} new a second`],
    ["In, out", `${bytes(tick.totals.bytes_in_per_s)}/s, ${bytes(tick.totals.bytes_out_per_s)}/s`],
    ["Requests", `${exact(tick.totals.requests_total)}, of which ${exact(tick.totals.errors_total)} failed`],
    ["Retries", `${exact(tick.totals.retries_total)}, ${count(tick.totals.retries_per_s)} a second`],
    ["Hedges", `${exact(tick.totals.hedges_total)}, ${exact(tick.totals.hedges_won_total)} of them answered first`],
    ["Viewers", `${tick.viewers}`],
    ["Not told", dropped(tick.totals.dropped)],
  ]);
  at("reload").disabled = !process.writable;
}

function reloaded(reload) {
  const place = at("reloaded");
  const stamp = JSON.stringify(reload);
  if (place.dataset.of === stamp) return;
  place.dataset.of = stamp;
  if (!reload) return place.replaceChildren(element("p", { class: "quiet", text: "Not reloaded since the start." }));
  return place.replaceChildren(
    element("p", { class: reload.ok ? "reload" : "reload failing" }, icon(reload.ok ? "serving" : "error"), " ",
      element("b", { text: reload.ok ? "Reloaded" : "Refused" }), ` ${day(reload.at_ms)}: ${reload.text.replace(/^(reloaded|refused): /, "")}`),
    reload.diff.length > 0 ? element("ul", { class: "diff", tabindex: 0, "aria-label": "What the reload changed" }, ...reload.diff.map((line) => element("li", { text: line }))) : "");
}

/** Values change each second, rows do not. */
function facts(rows) {
  const list = at("facts");
  if (list.children.length !== rows.length * 2) {
    list.replaceChildren(...rows.flatMap(([name]) => [element("dt", { text: name }), element("dd")]));
  }
  rows.forEach(([, value, title], place) => {
    const cell = list.children[place * 2 + 1];
    say(cell, value);
    if (title) mark(cell, "title", title);
  });
}

function skew(connections) {
  const sum = connections.reduce((all, one) => all + one, 0);
  if (connections.length < 2 || sum === 0) return "";
  return `, the fullest with ${percent((Math.max(...connections) / sum) * 100)} of the connections`;
}

function dropped(counts) {
  const told = Object.entries(counts).filter(([, number]) => number > 0);
  return told.length === 0 ? "nothing" : told.map(([name, number]) => `${count(number)} ${name.replaceAll("_", " ")}`).join(", ");
}
