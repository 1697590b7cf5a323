// The state of everything in one sentence: what is worst is said first.

import { count, duration, percent, some, whole } from "./words.js";

const WINDOW_SECONDS = 10;
const FAILING_SHARE = 0.01;

/** `{ level, text, short }`; `level` is `serving`, `warning` or `error`. */
export function sentence({ tick }, memory) {
  const found = problems(tick, memory);
  if (found.length === 0) return fine(tick);
  const worst = found.find((one) => one.level === "error") ?? found[0];
  const others = found.length - 1;
  return { level: worst.level, text: others ? `${worst.text} And ${some(others, "other thing")} to look at.` : worst.text, short: worst.short };
}

function problems(tick, memory) {
  if (tick.phase === "draining" || tick.phase === "stopping") {
    return [{ level: "warning", short: "shutting down", text: `Shutting down: ${some(tick.totals.in_flight, "request")} in flight still finish.` }];
  }
  const found = [];
  for (const backend of tick.backends) {
    if (backend.serving === 0 && !idle(backend)) found.push(...without(backend));
  }
  const failed = failing(memory);
  if (failed.share > FAILING_SHARE) {
    found.push({ level: "error", short: `${percent(failed.share * 100)} fail`,
      text: `${percent(failed.share * 100)} of the requests of the last ${WINDOW_SECONDS} seconds failed (${count(failed.rate)}/s with 5xx)${blame(tick)}.` });
  }
  const out = tick.nodes.filter((node) => ["unhealthy", "ejected", "down"].includes(node.state));
  if (out.length > 0) {
    const [first] = out;
    found.push({ level: "warning", short: `${some(out.length, "node")} out`,
      text: `${out.length} of ${tick.nodes.length} nodes ${out.length === 1 ? "is" : "are"} out. ${first.address} of ${first.backend} is ${first.state}: ${whole(first.reason)}` });
  }
  if (tick.totals.queued > 0) {
    found.push({ level: "warning", short: `${count(tick.totals.queued)} queued`, text: `${some(tick.totals.queued, "request")} ${tick.totals.queued === 1 ? "waits" : "wait"} for a node.` });
  }
  return found;
}

/** A backend of which no node serves: out, unless one is on its way. */
function without({ name, nodes, states, scaling, trouble }) {
  const out = (why) => [{ level: "error", short: `${name} is out`, text: `No node of ${name} is serving: ${why}` }];
  if (trouble) return out(`${whole(trouble)}.`);
  const coming = (states.starting ?? 0) + (states.warming ?? 0);
  if (scaling && (coming > 0 || (nodes === 0 && scaling.wanted > 0))) {
    const held = scaling.held > 0 ? `${some(scaling.held, "request")} ${scaling.held === 1 ? "waits" : "wait"} for it` : "it starts";
    return [{ level: "warning", short: `${name} wakes`, text: `The first node of ${name} is on its way: ${held}.` }];
  }
  return nodes > 0 ? out("its requests get 503.") : [];
}

function fine(tick) {
  const asleep = tick.backends.filter((backend) => backend.scaling && backend.serving === 0);
  if (tick.nodes.length === 0 && asleep.length > 0) {
    const names = asleep.map((backend) => backend.name).join(", ");
    return { level: "serving", short: "asleep", text: `${names} ${asleep.length === 1 ? "sleeps" : "sleep"}: the next request wakes a node.` };
  }
  if (tick.nodes.length === 0) return { level: "serving", short: "running", text: "There is no node: every route answers by itself." };
  const draining = tick.nodes.filter((node) => node.state === "draining").length;
  const coming = tick.nodes.filter((node) => node.state === "starting" || node.state === "warming").length;
  const serving = tick.nodes.length - draining - coming;
  const who = draining + coming === 0 ? (serving === 1 ? "The only node is serving" : `All ${serving} nodes are serving`) : `${some(serving, "node")} serving`;
  const more = [draining && `${draining} draining`, coming && `${coming} starting`].filter(Boolean).join(", ");
  const load = tick.totals.rps > 0 ? `${count(tick.totals.rps)} requests a second, p99 ${duration(tick.totals.p99_us)}` : "no requests now";
  return { level: "serving", short: `${count(tick.totals.rps)}/s`, text: `${who}${more ? `, ${more}` : ""}: ${load}.` };
}

/** A backend that may scale to nothing, and has nothing to do, is not out. */
const idle = (backend) => backend.scaling?.min === 0 && backend.scaling.wanted === 0;

function failing(memory) {
  let [all, failed] = [0, 0];
  for (let second = memory.now - WINDOW_SECONDS + 1; second <= memory.now; second += 1) {
    const entry = memory.at(second);
    all += entry?.requests ?? 0;
    failed += entry?.["5xx"] ?? 0;
  }
  return { share: all > 0 ? failed / all : 0, rate: failed / WINDOW_SECONDS };
}

function blame(tick) {
  const worst = [...tick.nodes].sort((a, b) => b.errors_per_s - a.errors_per_s)[0];
  return worst?.errors_per_s > 0 ? `, most of them from ${worst.address} of ${worst.backend}` : "";
}
