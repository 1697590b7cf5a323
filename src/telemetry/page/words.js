// How numbers are said. `null` is "not known", and is shown as a dash: it is not 0.

const NOTHING = "–";

const known = (number) => typeof number === "number" && Number.isFinite(number);

/** Whole numbers stand without a fraction: 10 ms, not 10.0 ms. */
const rounded = (number, digits) => (Number.isInteger(number) ? number : number.toPrecision(digits));

/** A count or a rate: 7, 1,204, 48.2k, 3.10M; below 10 a rate keeps one decimal. */
export function count(number) {
  if (!known(number)) return NOTHING;
  // What would be rounded to 1000 of a unit is 1 of the next.
  if (number >= 999_500) return `${(number / 1e6).toPrecision(3)}M`;
  if (number >= 1e4) return `${(number / 1e3).toPrecision(3)}k`;
  if (number < 10 && !Number.isInteger(number)) return number.toFixed(1);
  return Math.round(number).toLocaleString("en");
}

/** Every digit: for what is read once, not watched. */
export const exact = (number) => (known(number) ? number.toLocaleString("en") : NOTHING);

export function duration(us) {
  if (!known(us)) return NOTHING;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${rounded(us / 1e3, us < 1e4 ? 2 : 3)} ms`;
  return us < 1e8 ? `${rounded(us / 1e6, 3)} s` : `${Math.round(us / 1e6)} s`;
}

export function bytes(number) {
  if (!known(number)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

export function percent(number) {
  return known(number) ? `${number < 10 ? number.toFixed(1) : Math.round(number)} %` : NOTHING;
}

/** How long something has been so: 12 s, 4 min, 3 h, 2 days. */
export function span(ms) {
  if (!known(ms)) return NOTHING;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** What the balancer says begins small and ends open: here it stands alone. */
export function whole(text) {
  if (!text) return "";
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export const day = (ms) => new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const some = (number, one, more = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : more}`;

/** 2xx, 5xx, …: the class of a status; 0 is a client that left before it got one. */
export const classOf = (status) => (status === 0 ? "none" : `${Math.floor(status / 100)}xx`);
