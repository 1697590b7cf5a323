// The websocket: opens, opens again, notices silence, and rests while nobody looks.

const STALE_MS = 3500;
const SILENT_MS = 12000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8000;
const TOKEN = "plimsoll-token";

export class Socket {
  /** `take(message)` gets every message, `changed(state, since_ms)` every change of `live`, `stale`, `resting`, `locked`. */
  constructor(take, changed) {
    this.take = take;
    this.changed = changed;
    this.heard_at = 0;
    this.began_at = performance.now();
    this.retry_ms = RETRY_MS_MIN;
    this.waiting = null;
    this.locked = false;
    document.addEventListener("visibilitychange", () => this.#looked());
    setInterval(() => this.#check(), 500);
    this.#open();
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  unlock(token) {
    sessionStorage.setItem(TOKEN, token);
    this.locked = false;
    this.#open();
  }

  #open() {
    this.waiting = null;
    if (document.hidden || this.locked) return;
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, subprotocols());
    this.socket = socket;
    this.began_at = performance.now();
    socket.onmessage = (frame) => socket === this.socket && this.#heard(frame.data);
    socket.onclose = () => socket === this.socket && this.#lost();
  }

  #heard(data) {
    this.heard_at = performance.now();
    this.retry_ms = RETRY_MS_MIN;
    this.#check();
    this.take(JSON.parse(data));
  }

  async #lost() {
    this.socket = null;
    this.#check();
    if (document.hidden || this.waiting) return;
    const wait = this.retry_ms * (0.75 + Math.random() / 2);
    this.retry_ms = Math.min(RETRY_MS_MAX, this.retry_ms * 2);
    this.waiting = setTimeout(() => this.#open(), wait);
    if (await refused()) this.#lock();
  }

  #lock() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.locked = true;
    this.#check();
  }

  /** A hidden page asks for nothing; a page that is seen again asks for everything. */
  #looked() {
    if (document.hidden) this.send({ type: "pause" });
    else if (!this.send({ type: "resume" }) && !this.waiting) this.#open();
    this.heard_at = document.hidden ? this.heard_at : performance.now();
    this.#check();
  }

  #check() {
    const silent = performance.now() - (this.heard_at || this.began_at);
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (open && !document.hidden && performance.now() - Math.max(this.heard_at, this.began_at) > SILENT_MS) {
      this.socket.close();
    }
    this.changed(this.#state(open, silent), silent);
  }

  #state(open, silent) {
    if (document.hidden) return "resting";
    if (this.locked) return "locked";
    if (this.heard_at === 0 && silent < STALE_MS) return "connecting";
    return open && silent < STALE_MS ? "live" : "stale";
  }
}

/** A browser cannot set `authorization` on a websocket, and a URL is no place for a token. */
function subprotocols() {
  const token = sessionStorage.getItem(TOKEN);
  if (token === null) return ["plimsoll.v1"];
  const bytes = new TextEncoder().encode(token);
  const encoded = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["plimsoll.v1", `plimsoll.token.${encoded}`];
}

export function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/** The browser does not say why a handshake failed: a plain call does. */
async function refused() {
  try {
    const answer = await fetch("/api/v1/status", { headers: authorization(), signal: AbortSignal.timeout(STALE_MS) });
    return answer.status === 401;
  } catch {
    return false;
  }
}
