// Every change goes through one dialog: it says what will happen, and nothing happens before it is confirmed.

import { at, element, say } from "./elements.js";
import { authorization } from "./socket.js";
import { whole } from "./words.js";

export class Change {
  constructor(tell) {
    Object.assign(this, { tell, dialog: at("change") });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /**
   * `options`: `{ key, label, effect(number), verb, call(number), danger, number: { label, value, min, max } }`, one of which is chosen.
   * `call` gives `[method, path, body]`.
   */
  propose(title, options, chosen) {
    this.option = options.find((option) => option.key === chosen) ?? options[0];
    this.effect = element("p", { class: "effect", id: "effect", "aria-live": "polite" });
    this.refusal = element("p", { class: "refusal", role: "alert", hidden: true });
    this.number = element("input", { type: "number", id: "change_number", input: () => this.#say() });
    this.amount = element("label", { class: "amount" }, element("span"), this.number);
    this.confirm = element("button", { type: "submit", class: "confirm", id: "confirm" });
    const radio = (option) => element("label", { class: "option" },
      element("input", { type: "radio", name: "wish", value: option.key, checked: option === this.option, change: () => this.#choose(option) }),
      element("span", { text: option.label }));
    const form = element("form", { submit: (event) => this.#submit(event) },
      element("h2", { id: "change_title", text: title }),
      options.length > 1 && element("fieldset", {}, element("legend", { class: "unseen", text: "What to do" }), ...options.map(radio)),
      this.amount, this.effect, this.refusal,
      element("div", { class: "bar end" }, element("button", { type: "button", id: "cancel", text: "Cancel", click: () => this.dialog.close() }), this.confirm));
    this.dialog.replaceChildren(form);
    this.#choose(this.option);
    this.dialog.showModal();
    (this.amount.hidden ? this.confirm : this.number).focus();
  }

  #choose(option) {
    this.option = option;
    this.amount.hidden = !option.number;
    if (option.number) {
      say(this.amount.firstChild, option.number.label);
      Object.assign(this.number, { min: option.number.min, max: option.number.max, value: option.number.value });
    }
    this.refusal.hidden = true;
    this.#say();
  }

  #say() {
    const { number, effect, verb, danger } = this.option;
    const valid = !number || (this.number.value !== "" && this.number.checkValidity());
    this.confirm.disabled = !valid;
    this.confirm.className = danger ? "confirm danger" : "confirm";
    say(this.confirm, verb);
    say(this.effect, valid ? effect(Number(this.number.value)) : `A whole number from ${number.min} to ${number.max}.`);
  }

  async #submit(event) {
    event.preventDefault();
    const [method, path, body] = this.option.call(Number(this.number.value));
    this.confirm.disabled = true;
    const answer = await call(method, path, body);
    this.confirm.disabled = false;
    if (!answer.ok) {
      this.refusal.hidden = false;
      say(this.refusal, answer.text);
      return;
    }
    this.dialog.close();
    this.tell(answer.text);
  }
}

/** One write; says how it ended in words for a person. */
async function call(method, path, body = {}) {
  try {
    const headers = { "content-type": "application/json", ...authorization() };
    const answer = await fetch(path, { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(30000) });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return { ok: true, text: whole(said.text ?? "Done") };
    const error = said.error ?? { message: `The answer was ${answer.status}.` };
    return { ok: false, text: [error.message, error.hint].map(whole).join(" ") };
  } catch {
    return { ok: false, text: "The balancer did not answer: nothing is known to have changed." };
  }
}
