// A canvas as sharp as the screen: sized in device pixels, drawn in CSS pixels, drawn again when its size changes.

import { element } from "./elements.js";

export class Canvas {
  /** `draw(context, width, height)` is called at most once a frame. */
  constructor(parent, draw, attributes = {}) {
    this.node = element("canvas", attributes);
    this.draw = draw;
    this.asked = false;
    parent.append(this.node);
    new ResizeObserver(() => this.ask()).observe(this.node);
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    this.asked = false;
    const box = this.node.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) return;
    const dense = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * dense), Math.round(box.height * dense)];
    if (this.node.width !== width) this.node.width = width;
    if (this.node.height !== height) this.node.height = height;
    const context = this.node.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    this.draw(context, box.width, box.height);
  }
}
