// The second that is pointed at: one for all charts and the heat map, so that a spike can be read across them.

let second = null;
const watchers = new Set();

export const pointed = () => second;

export function point(to) {
  if (to === second) return;
  second = to;
  for (const watcher of watchers) watcher();
}

export const watch = (watcher) => watchers.add(watcher);
