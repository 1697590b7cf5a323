// What the page remembers: the last 15 minutes, a place a second. It is filled from `history` once, then by ticks.

export const SECONDS = 900;
/** What charts show: a young balancer does not fill 15 minutes, and a stripe at the edge shows nothing. */
const SPANS = [120, 300, 600, SECONDS];
const CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const SPARK_SECONDS = 60;

export class Memory {
  constructor() {
    this.seconds = new Map();
    this.sparks = new Map();
    this.fleets = new Map();
    this.now = 0;
    this.last_ms = 0;
    /** How many seconds the charts show. */
    this.span = SPANS[0];
  }

  take(tick) {
    const second = this.#place(tick.at_ms);
    const totals = tick.totals;
    this.now = second;
    this.seconds.set(second, { ...totals, ...totals.classes, requests: totals.rps, latency: tick.latency, until_ms: tick.at_ms });
    for (const node of tick.nodes) this.#spark(node, second);
    for (const backend of tick.backends) {
      if (backend.scaling) this.#fleet(backend.name, second).set(second, backend.scaling);
    }
    this.#trim();
  }

  /** The answer to `history`; what ticks told since stays. */
  recall(history) {
    const columns = history.columns;
    columns.requests.forEach((requests, place) => {
      const second = Math.round((history.from_ms + (place + 1) * history.step_ms) / 1000);
      if (this.seconds.has(second)) return;
      const until_ms = history.from_ms + (place + 1) * history.step_ms;
      const entry = { requests, latency: history.latency?.[place] ?? [], until_ms };
      for (const name of [...CLASSES, "p50_us", "p99_us", "p999_us", "in_flight", "queued"]) {
        entry[name] = columns[name]?.[place] ?? null;
      }
      this.seconds.set(second, entry);
      this.now = Math.max(this.now, second);
    });
    this.#trim();
  }

  /** What is known of a second; undefined for a gap. */
  at(second) {
    return this.seconds.get(second);
  }

  /**
   * Ticks come about a second apart, not on the clock's seconds: one after the other take one place after the other, or
   * rounding would lose one here and leave a gap there. A tick that comes twice keeps its place.
   */
  #place(at_ms) {
    const again = at_ms === this.last_ms;
    this.last_ms = at_ms;
    if (again) return this.now;
    const second = at_ms / 1000;
    return Math.abs(second - this.now - 1) < 1 ? this.now + 1 : Math.round(second);
  }

  /** A node's requests a second of the last minute, oldest first. */
  spark(id) {
    const spark = this.sparks.get(id) ?? new Map();
    return Array.from({ length: SPARK_SECONDS }, (_, place) => spark.get(this.now - SPARK_SECONDS + 1 + place));
  }

  /** Second to scaling of a backend, in the order in which they came. */
  fleet(backend) {
    return this.fleets.get(backend) ?? new Map();
  }

  #fleet(name) {
    if (!this.fleets.has(name)) this.fleets.set(name, new Map());
    return this.fleets.get(name);
  }

  #spark(node, second) {
    if (!this.sparks.has(node.id)) this.sparks.set(node.id, new Map());
    this.sparks.get(node.id).set(second, node.rps);
  }

  #trim() {
    drop(this.seconds, this.now - SECONDS);
    const known = this.now - Math.min(this.now, ...this.seconds.keys()) + 1;
    this.span = SPANS.find((span) => span >= known) ?? SECONDS;
    for (const fleet of this.fleets.values()) drop(fleet, this.now - SECONDS);
    for (const [id, spark] of this.sparks) {
      drop(spark, this.now - SPARK_SECONDS);
      if (spark.size === 0) this.sparks.delete(id);
    }
  }
}

function drop(map, until) {
  for (const second of map.keys()) if (second <= until) map.delete(second);
}
