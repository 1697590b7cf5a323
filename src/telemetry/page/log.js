// The log: a live tail with the server's filters, past lines of a heat map cell, and each line as a curl command.

import { curl } from "./curl.js";
import { at, element, icon, keep, say } from "./elements.js";
import { classOf, clock, duration, whole } from "./words.js";

const KEPT_MAX = 400;
const SHOWN_MAX = 150;
const PAST_MAX = 200;
const PRESETS = [["Every line", ""], ["Errors", "status>=500"], ["Client errors", "status=4xx"], ["Slow", "ms>100"], ["Retried", "retries>0"]];

export class Log {
  /** `send` is the socket's, `tell` says something in passing, `address(listener)` is where a client would connect. */
  constructor({ send, tell, address }) {
    Object.assign(this, { send, tell, address, lines: [], filter: "", paused: false, past: null, seen: false, next: 0, asked: false, behind: 0, pending: 0 });
    at("log_form").addEventListener("submit", (event) => { event.preventDefault(); this.follow(at("filter").value); });
    at("pause").addEventListener("click", () => this.pause(!this.paused));
    at("back").addEventListener("click", () => this.follow(this.filter));
    at("presets").append(...PRESETS.map(([label, filter]) => element("button", { text: label, "data-filter": filter, click: () => this.follow(filter) })));
    new IntersectionObserver(([entry]) => this.#look(entry.isIntersecting)).observe(at("log"));
    this.#press();
  }

  /** After the socket opened: the server knows no filter yet. */
  begin() {
    this.pending = 0;
    if (this.seen) this.#subscribe();
  }

  follow(filter) {
    this.filter = filter.trim();
    at("filter").value = this.filter;
    this.past = null;
    this.pause(false);
    this.lines = [];
    this.#subscribe();
    this.#press();
    this.#ask();
  }

  /** The lines behind a cell of the heat map. */
  open({ from_ms, until_ms, over_us, upto_us, words }) {
    const filter = [over_us === null ? null : `us>${over_us}`, upto_us === null ? null : `us<=${upto_us}`].filter(Boolean).join(" ");
    this.#recall(filter, `Lines of ${words}`, { since_ms: from_ms, until_ms });
    at("log").scrollIntoView({ behavior: "smooth", block: "start" });
  }

  /** Live lines of a box of the topology, from now on, and what is remembered of it. */
  narrow(filter) {
    this.follow(filter);
    at("log").scrollIntoView({ behavior: "smooth", block: "start" });
  }

  pause(on) {
    this.paused = on;
    this.behind = 0;
    at("pause").setAttribute("aria-pressed", String(on));
    say(at("pause"), on ? "Go on" : "Pause");
    this.#ask();
  }

  take(message) {
    if (message.type === "log") this.#arrive(message);
    if (message.type === "logs" && message.id === this.past?.id) this.#recalled(message);
    if (message.type === "error" && ["bad_filter", "too_many_filters"].includes(message.code)) this.#refused(message);
    if (message.type === "following" && message.filter !== null) this.#followed();
  }

  #arrive({ lines, left_out }) {
    // Lines that were under way when the filter changed are those of the one before.
    if (this.past || this.pending > 0) return;
    if (this.paused || this.#reading()) {
      this.behind += lines.length + left_out;
      this.#ask();
      return;
    }
    for (const line of lines) this.lines.push({ ...line, key: (this.next += 1) });
    this.lines = this.lines.slice(-KEPT_MAX);
    this.left_out = left_out;
    this.#ask();
  }

  /** A line that is open, or under the pointer or the focus, must not slide away. */
  #reading() {
    return at("lines").querySelector("[aria-expanded=true]") !== null;
  }

  #recall(filter, words, times) {
    const id = (this.next += 1);
    this.past = { id, words, filter };
    this.lines = [];
    this.send({ type: "logs", id, filter, limit: PAST_MAX, ...times });
    this.#ask();
  }

  #recalled({ lines, more }) {
    this.lines = lines.map((line) => ({ ...line, key: (this.next += 1) }));
    this.past.answered = true;
    this.past.more = more;
    this.#ask();
  }

  #followed() {
    this.pending = Math.max(0, this.pending - 1);
    at("filter_error").hidden = true;
  }

  #refused({ message, hint, at: place, id }) {
    if (id === null) this.pending = Math.max(0, this.pending - 1);
    const error = at("filter_error");
    error.hidden = false;
    say(error, [message, hint].map(whole).join(" "));
    const field = at("filter");
    if (!this.past && place !== null && document.activeElement === field) field.setSelectionRange(place, field.value.length);
  }

  /** Workers write lines for the page only while somebody can see them. */
  #look(seen) {
    if (seen === this.seen) return;
    this.seen = seen;
    if (seen) this.#subscribe();
    else this.send({ type: "unfollow" });
  }

  #subscribe() {
    if (this.send({ type: "follow", filter: this.filter })) this.pending += 1;
  }

  #press() {
    for (const button of at("presets").children) button.setAttribute("aria-pressed", String(button.dataset.filter === this.filter));
  }

  #ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.#show(); });
  }

  #show() {
    const shown = this.lines.slice(-SHOWN_MAX).reverse();
    keep(at("lines"), shown, (line) => line.key, (line) => this.#row(line));
    const held = this.behind > 0;
    say(at("log_words"), this.past ? "past lines, newest first" : held ? `${this.paused ? "paused" : "held while a line is open"}, ${this.behind} more since`
      : this.paused ? "paused" : this.left_out ? `newest first, ${this.left_out} more a moment than are shown` : "newest first");
    at("past").hidden = this.past === null;
    if (this.past) say(at("past").firstElementChild, this.past.more ? `${this.past.words}, the first ${PAST_MAX}` : this.past.words);
    at("no_lines").hidden = shown.length > 0;
    say(at("no_lines"), this.past ? (this.past.answered ? "No line of these is remembered: the newest 8192 are, and with access_log off only those of requests that ended while a page was open." : "Asking for the lines…")
      : this.filter ? "No line has matched yet." : "No line yet.");
  }

  #row(line) {
    const kind = classOf(line.status);
    const open = (event) => this.#toggle(event.currentTarget, line);
    return element("li", {}, element("button", { class: `line c${kind}`, "aria-expanded": "false", click: open },
      element("time", { text: clock(Date.parse(line.time)) }),
      element("span", { class: "status" }, icon(kind === "5xx" ? "error" : kind === "4xx" || kind === "none" ? "warning" : "info"),
        element("b", { text: line.status === 0 ? "left" : line.status })),
      element("span", { class: "request" }, element("b", { text: line.method }), ` ${line.target}`),
      element("span", { class: "whom", text: line.node || line.reason || "answered here" }),
      element("span", { class: "took", text: duration(line.total_us) })));
  }

  #toggle(button, line) {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    button.parentElement.querySelector(".details")?.remove();
    if (open) return this.#ask();
    const facts = Object.entries(line).filter(([name, value]) => name !== "key" && value !== "" && value !== null);
    button.after(element("div", { class: "details" },
      element("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [
        element("dt", { text: name.replace(/_us$/, "").replaceAll("_", " ") }), element("dd", { text: name.endsWith("_us") ? duration(value) : value })])),
      element("div", { class: "bar" },
        element("button", { class: "curl", text: "Copy as curl", click: () => this.#copy(curl(line, this.address(line.listener))) }),
        line.node && element("button", { text: "Lines of this node", click: () => this.follow(`node=${line.node}`) }))));
    return undefined;
  }

  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.tell(`Copied: ${text}`);
    } catch {
      // A browser gives no clipboard to a page that came over plain http from afar.
      this.tell(text);
    }
  }
}
