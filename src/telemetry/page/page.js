// The monitor: takes what the websocket says, keeps the last picture, and shows it. docs/monitor-protocol.md says the words.

import { Change } from "./change.js";
import { Chart } from "./chart.js";
import { at, element, mark, say } from "./elements.js";
import { Events } from "./events.js";
import { Heatmap } from "./heatmap.js";
import { Log } from "./log.js";
import { Memory, SECONDS } from "./memory.js";
import { Nodes } from "./nodes.js";
import { sentence } from "./sentence.js";
import { showSetup } from "./setup.js";
import { Socket } from "./socket.js";
import { beginTheme } from "./theme.js";
import { Topology } from "./topology.js";
import { backendWishes, nodeWishes, reloadWish } from "./wishes.js";
import { count, duration, span } from "./words.js";

const TOLD_MS = 6000;
const memory = new Memory();
const model = { tick: null, topology: null, process: null, config: null, bounds: [] };
const change = new Change(tell);
const socket = new Socket(take, live);
const events = new Events(memory);
const log = new Log({ send: (message) => socket.send(message), tell, address });
const heatmap = new Heatmap(at("heatmap"), at("heat_words"), memory, (cell) => log.open(cell));
const topology = new Topology(at("topology"), (filter) => log.narrow(filter));
const nodes = new Nodes(memory, {
  node: (wish, node, group) => change.propose(node.id, nodeWishes(node, group), wish),
  backend: (kind, group) => change.propose(`${group.backend.name}`, backendWishes(kind, group), kind),
});
const charts = [
  new Chart(at("chart_requests"), memory, { title: "Requests", unit: "a second", format: count, series: [
    { label: "requests", colour: "flow", area: true, value: (second) => second.requests }] }),
  new Chart(at("chart_errors"), memory, { title: "Errors", unit: "a second", format: count, series: [
    { label: "5xx", colour: "bad", area: true, stacked: true, value: (second) => second["5xx"],
      total: (second) => (second["5xx"] ?? 0) + (second["4xx"] ?? 0) + (second.none ?? 0) },
    { label: "4xx", colour: "warn", area: true, stacked: true, value: (second) => second["4xx"] },
    { label: "client left", colour: "quiet", area: true, stacked: true, value: (second) => second.none }] }),
  new Chart(at("chart_latency"), memory, { title: "Latency", unit: "p99", format: duration, logarithmic: true, series: [
    { label: "p99", colour: "flow", worst: true, value: (second) => second.p99_us },
    { label: "p50", colour: "flow3", value: (second) => second.p50_us },
    { label: "p99.9", colour: "flow2", dashed: true, worst: true, value: (second) => second.p999_us }] }),
  new Chart(at("chart_load"), memory, { title: "In flight", unit: "requests", format: count, series: [
    { label: "in flight", colour: "flow", area: true, worst: true, value: (second) => second.in_flight },
    { label: "queued", colour: "warn", worst: true, value: (second) => second.queued }] }),
];
const nextTheme = beginTheme(draw);

function take(message) {
  if (message.type === "snapshot") begin(message);
  else if (message.type === "tick") tick(message);
  else if (message.type === "event") events.take(message);
  else if (message.type === "history") recall(message);
  else log.take(message);
}

function begin(snapshot) {
  Object.assign(model, { topology: snapshot.topology, process: snapshot.process, config: snapshot.config, bounds: snapshot.latency_bounds_us });
  events.reset(snapshot.events);
  // In its first second the balancer has no numbers yet.
  if (snapshot.totals) tick(snapshot);
  socket.send({ type: "history", id: 1, series: "total", step: "1s", steps: SECONDS });
  log.begin();
}

function recall(history) {
  memory.recall(history);
  draw();
}

function tick(message) {
  model.tick = message;
  memory.take(message);
  topology.show(model.topology, message);
  nodes.show(model);
  events.tick(message.backends);
  showSetup(model);
  draw();
  state();
}

function draw() {
  for (const chart of charts) chart.show();
  heatmap.show(model.bounds);
  events.tick(model.tick?.backends ?? []);
}

function state() {
  const { level, text, short } = sentence(model, memory);
  const line = at("sentence");
  mark(line, "class", `sentence ${level}`);
  mark(line.querySelector("use"), "href", `#i-${level}`);
  say(line.lastElementChild, text);
  document.title = `${level === "serving" ? "" : "▲ "}${short} · Plimsoll`;
  const colour = { serving: "%2322a699", warning: "%23d9902f", error: "%23e5604f" }[level];
  mark(at("icon"), "href", `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='none' stroke='${colour}' stroke-width='4'><circle cx='16' cy='16' r='10'/><path d='M0 16h32'/></svg>`);
}

/** The badge: numbers that are not of now must not look as if they were. */
function live(now, silent_ms) {
  const words = { live: "live", connecting: "connecting", resting: "resting", locked: "locked", stale: `stale, ${span(silent_ms)}` };
  const badge = at("live");
  say(badge, words[now]);
  mark(badge, "class", `badge ${now}`);
  mark(document.body, "class", now === "stale" ? "stale" : "");
  if (now === "stale" && !document.title.startsWith("stale")) document.title = `stale · Plimsoll`;
  if (now === "locked" && !at("change").open) unlock();
}

let tried = false;

function unlock() {
  const field = element("input", { type: "password", autocomplete: "off", id: "token" });
  const open = (event) => {
    event.preventDefault();
    at("change").close();
    tried = true;
    socket.unlock(field.value);
  };
  at("change").replaceChildren(element("form", { submit: open }, element("h2", { id: "change_title", text: "This monitor needs a token" }),
    element("p", { class: "effect", text: "It is the one in the file that admin.token_file names. It is kept until this tab is closed." }),
    element("p", { class: "refusal", role: "alert", hidden: !tried, text: "The balancer did not take that one. Is it the newest, and whole?" }),
    element("label", { class: "amount" }, element("span", { text: "Token" }), field),
    element("div", { class: "bar end" }, element("button", { type: "submit", class: "confirm", text: "Open" }))));
  at("change").showModal();
}

let told = null;
function tell(text) {
  clearTimeout(told);
  at("told").hidden = false;
  say(at("told"), text);
  told = setTimeout(() => { at("told").hidden = true; }, TOLD_MS);
}

/** Where a client reaches this listener: the address that it is bound to, or this page's host for "all addresses". */
function address(listener) {
  const bound = model.topology.listeners.find((one) => one.name === listener)?.addresses[0] ?? location.host;
  return bound.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, location.hostname);
}

const PARTS = ["flow", "nodes", "scaling", "log", "setup"];

function key(event) {
  const typing = event.target.closest("input, textarea, select, dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const part = PARTS[Number(event.key) - 1];
  const acts = {
    "/": () => at("filter").focus(), p: () => log.pause(!log.paused), e: () => log.narrow("status>=500"), t: nextTheme,
    "?": () => at("help").showModal(),
  };
  const act = part ? () => at(part).scrollIntoView({ behavior: "smooth" }) : acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

document.addEventListener("keydown", key);
at("keys").addEventListener("click", () => at("help").showModal());
at("help_close").addEventListener("click", () => at("help").close());
at("reload").addEventListener("click", () => change.propose("Reload the configuration", reloadWish(model.config?.text_path), "reload"));
