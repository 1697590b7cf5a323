// Dark, light, or as the system says. It is kept in this browser.

import { at, say } from "./elements.js";
import { repaint } from "./palette.js";

const KEY = "plimsoll-theme";
const THEMES = ["system", "dark", "light"];

export function beginTheme(changed) {
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    say(at("theme_word"), theme[0].toUpperCase() + theme.slice(1));
    repaint();
    changed();
  };
  const next = () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    localStorage.setItem(KEY, theme);
    set(theme);
  };
  const kept = localStorage.getItem(KEY);
  set(THEMES.includes(kept) ? kept : "system");
  at("theme").addEventListener("click", next);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => set(document.documentElement.dataset.theme));
  return next;
}
