// Polls the status once a second while the page is seen. All that comes from the balancer is put in as text.
"use strict";

const PERIOD_MS = 1000;
const STALE_MS = 3500;
const at = (id) => document.getElementById(id);
let before = null;
let last_answer = 0;

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(STALE_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function poll() {
  if (!document.hidden) {
    try {
      const [status, nodes] = await Promise.all([get("/api/v1/status"), get("/api/v1/nodes")]);
      show(status, nodes);
      last_answer = performance.now();
    } catch {
      before = null;
    }
  }
  badge();
  setTimeout(poll, PERIOD_MS);
}

function badge() {
  const live = performance.now() - last_answer < STALE_MS && last_answer > 0;
  at("live").textContent = live ? "live" : "stale: no answer";
  at("live").className = live ? "badge live" : "badge stale";
}

function show(status, nodes) {
  const totals = status.totals;
  at("sentence").textContent = sentence(status, nodes);
  at("rps").textContent = rate(totals.requests_total);
  at("p50").textContent = duration(totals.p50_us);
  at("p99").textContent = duration(totals.p99_us);
  at("in_flight").textContent = count(totals.in_flight);
  at("connections").textContent = count(totals.connections);
  at("errors").textContent = count(totals.errors_total);
  at("nodes").replaceChildren(...nodes.map(row));
  at("process").replaceChildren(...facts(status));
}

function sentence(status, nodes) {
  if (status.phase === "draining" || status.phase === "stopping") return "Shutting down: what is in flight still finishes.";
  if (nodes.length === 0) return "There is no node: every route answers by itself.";
  const down = nodes.filter((node) => node.state !== "serving");
  if (down.length === 0) return nodes.length === 1 ? "The only node is serving." : `All ${nodes.length} nodes are serving.`;
  if (down.length === nodes.length) return "No node is serving.";
  const not_serving = down.length === 1 ? "is not serving" : "are not serving";
  return `${down.length} of ${nodes.length} nodes ${not_serving}. ${down[0].backend}: ${down[0].reason}.`;
}

function rate(requests) {
  const now = performance.now();
  const text = before && requests >= before.requests
    ? count(Math.round((requests - before.requests) * 1000 / (now - before.now))) : "–";
  before = { requests, now };
  return text;
}

function row(node) {
  const tr = document.createElement("tr");
  const mark = node.state === "serving" ? "● " : "▲ ";
  const cells = [node.backend, node.address, mark + node.state, node.reason, node.weight, count(node.in_flight),
    count(Math.round(node.rps)), duration(node.p99_us), count(node.requests_total), count(node.errors_total)];
  tr.append(...cells.map((text, column) => cell(text, column, node.state)));
  return tr;
}

function cell(text, column, state) {
  const td = document.createElement("td");
  td.textContent = text;
  if (column === 2) td.className = `state ${state}`;
  if (column === 3) td.className = "why";
  if (column > 3) td.className = "n";
  return td;
}

function facts(status) {
  const totals = status.totals;
  const all = {
    Version: status.version,
    Driver: status.driver_reason ? `${status.driver} (${status.driver_reason})` : status.driver,
    Workers: status.workers,
    "Up since": new Date(status.started_ms).toLocaleString(),
    Configuration: status.config_hash.slice(0, 12),
    Requests: count(totals.requests_total),
    Retries: count(totals.retries_total),
    "Bytes in, out": `${bytes(totals.bytes_in_total)}, ${bytes(totals.bytes_out_total)}`,
    "Log lines dropped": count(totals.log_lines_dropped_total),
  };
  return Object.entries(all).flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

const count = (number) => number.toLocaleString("en");

function duration(us) {
  if (us === null) return "–";
  if (us < 1000) return `${us} µs`;
  if (us < 1000000) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1000000).toPrecision(3)} s`;
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at_unit = 0;
  while (number >= 1024 && at_unit < units.length - 1) {
    number /= 1024;
    at_unit += 1;
  }
  return `${at_unit ? number.toFixed(1) : number} ${units[at_unit]}`;
}

poll();
