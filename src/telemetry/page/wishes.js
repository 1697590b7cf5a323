// What can be asked of a node, a backend and the process, and the effect of each, in words and numbers of now.

import { count, some } from "./words.js";

const WEIGHT_MAX = 1000;
const REPLICAS_MAX = 1000;

export function nodeWishes(node, { backend, nodes, now }) {
  const path = `/api/v1/nodes/${encodeURIComponent(node.id)}`;
  const others = nodes.filter((one) => one.id !== node.id && ["serving", "warming"].includes(one.state));
  const flight = node.in_flight === 0 ? "nothing is in flight" : `the ${some(node.in_flight, "request")} in flight`;
  return [
    { key: "drain", label: "Drain", verb: "Drain node", danger: others.length === 0,
      effect: () => `It takes no new requests; ${node.in_flight === 0 ? flight : `${flight} finish`}. ${takeOver(node, others, backend)}`,
      call: () => ["PATCH", path, { state: "drain" }] },
    { key: "ready", label: "Ready", verb: "Make ready",
      effect: () => `It takes requests again as soon as its health allows, about ${share(node.weight, node, nodes)} of those of ${backend.name}.`,
      call: () => ["PATCH", path, { state: "ready" }] },
    { key: "down", label: "Down", verb: "Take node down", danger: true,
      effect: () => `It takes no requests, and ${node.in_flight === 0 ? flight : `${flight} are cut: their clients get an error`}. ${takeOver(node, others, backend)}`,
      call: () => ["PATCH", path, { state: "down" }] },
    { key: "weight", label: "Weight", verb: "Set weight", number: { label: "Weight", value: node.weight, min: 1, max: WEIGHT_MAX },
      effect: (weight) => `From weight ${node.weight} to ${weight}: about ${share(weight, node, nodes)} of the requests of ${backend.name} (now ${count(now?.rps ?? null)}/s).`,
      call: (weight) => ["PATCH", path, { weight }] },
    { key: "remove", label: backend.fleet ? "Stop" : "Remove", verb: backend.fleet ? "Drain and stop" : "Remove node", danger: true,
      effect: () => `It drains first. Then it is ${backend.fleet ? "stopped; the scaler may start another" : "gone until the next reload brings it back"}. ${takeOver(node, others, backend)}`,
      call: () => ["DELETE", path] },
  ];
}

export function backendWishes(kind, { backend, nodes, now }) {
  const path = `/api/v1/backends/${encodeURIComponent(backend.name)}`;
  const scaling = now?.scaling;
  const wishes = {
    start: { verb: "Start node", effect: () => `One more node of ${backend.name} is started (${backend.fleet}); it takes requests once it is healthy. Now there are ${nodes.length}.${scaling && !scaling.paused ? " The number stays until the scaler is resumed." : ""}`,
      call: () => ["POST", `${path}/nodes`] },
    scale: { verb: "Scale", number: { label: "Nodes", value: scaling?.wanted ?? nodes.length, min: scaling?.min ?? 0, max: scaling?.max ?? REPLICAS_MAX },
      effect: (wanted) => `${scaleEffect(wanted, scaling?.running ?? nodes.length)}${scaling && !scaling.paused ? " It stays there until the scaler is resumed." : ""}`,
      call: (replicas) => ["POST", `${path}/scale`, { replicas }] },
    paused: { verb: scaling?.paused ? "Resume scaler" : "Pause scaler",
      effect: () => (scaling?.paused ? `The scaler of ${backend.name} decides again, between ${scaling.min} and ${scaling.max} nodes.`
        : `The scaler of ${backend.name} decides nothing until it is resumed: ${some(scaling?.running ?? nodes.length, "node")} stay, whatever the load.`),
      call: () => ["POST", `${path}/scale`, { paused: !scaling?.paused }] },
    roll: { verb: "Replace all nodes", danger: true,
      effect: () => `All ${some(nodes.length, "node")} of ${backend.name} are replaced by new ones, a batch at a time; each drains before it is stopped.`,
      call: () => ["POST", `${path}/roll`] },
  };
  return [{ key: kind, label: kind, ...wishes[kind] }];
}

export const reloadWish = (path) => [{ key: "reload", label: "Reload", verb: "Reload",
  effect: () => `${path ?? "The configuration"} is read again. Requests in flight keep the settings that they began with. If the file has an error, the settings of now stay, and the error is shown here.`,
  call: () => ["POST", "/api/v1/reload"] }];

function takeOver(node, others, backend) {
  if (others.length === 0) return `No other node of ${backend.name} serves: its requests will get 503.`;
  const each = node.rps / others.length;
  const whom = others.length === 1 ? `The other node takes` : `The other ${others.length} nodes take`;
  return `${whom} its ${count(node.rps)} requests/s${others.length > 1 ? `, about ${count(each)} more each` : ""}.`;
}

function share(weight, node, nodes) {
  const rest = nodes.filter((one) => one.id !== node.id && one.state === "serving").reduce((sum, one) => sum + one.weight, 0);
  return `${Math.round((weight / (weight + rest)) * 100)} %`;
}

function scaleEffect(wanted, running) {
  if (wanted > running) return `${some(wanted - running, "node")} more will be started.`;
  if (wanted < running) return `${some(running - wanted, "node")} will drain, and then be stopped.`;
  return "As many as run now: nothing is started or stopped.";
}
