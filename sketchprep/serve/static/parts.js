// The parts of the face: sliders that say how far each follows the drawing, and the tray of the nearest faces.
import { $, picture, pictureButton, title, toast } from "./common.js";

export class Parts {
  constructor(model, ink, changed) {
    Object.assign(this, { model, ink, changed, part: "mouth", rows: {} });
    this.slider("all", "All parts");
    for (const name of model.parts) { this.slider(name, title(name)); this.tab(name); }
    this.choose(this.part);
  }

  get shares() { return this.model.parts.map((name) => Number($(`wb-${name}`).value)); }

  set shares(values) { this.model.parts.forEach((name, at) => setShare(name, values[at])); }

  slider(name, words) {
    const label = document.createElement("label");
    label.className = "slide";
    const output = document.createElement("output"), input = document.createElement("input");
    Object.assign(input, { id: `wb-${name}`, type: "range", min: 0, max: 1, step: 0.05 });
    const start = this.model.wb[name] ?? Math.min(...Object.values(this.model.wb));
    input.value = start;
    label.htmlFor = input.id; // else it would be the output's, which comes first
    output.htmlFor = input.id;
    output.value = start.toFixed(2);
    label.append(words, " ", output, input);
    input.addEventListener("input", () => {
      for (const one of name === "all" ? this.model.parts : [name]) setShare(one, input.value);
      output.value = Number(input.value).toFixed(2);
      this.changed();
    });
    if (name !== "all") this.highlight(label, name);
    $("sliders").append(label);
  }

  tab(name) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: title(name), id: `tab-${name}` });
    button.setAttribute("role", "radio");
    button.onclick = () => this.choose(name);
    button.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const { parts } = this.model;
      const next = parts.at((parts.indexOf(this.part) + step) % parts.length);
      this.choose(next);
      $(`tab-${next}`).focus();
    };
    this.highlight(button, name);
    $("tabs").append(button);
  }

  // Shows on the paper where a part lies while its slider or tab is pointed at.
  highlight(element, name) {
    const show = () => {
      const [left, top, side] = this.model.windows[name];
      const share = (pixels) => `${(100 * pixels) / this.model.canvas}%`;
      Object.assign($("frame").style, { left: share(left), top: share(top), width: share(side), height: share(side) });
      $("frame").hidden = false;
    };
    const hide = () => { $("frame").hidden = true; };
    for (const [kind, act] of [["pointerenter", show], ["focusin", show], ["pointerleave", hide], ["focusout", hide]]) element.addEventListener(kind, act);
  }

  choose(name) {
    this.part = name;
    for (const one of this.model.parts) {
      $(`tab-${one}`).setAttribute("aria-checked", String(one === name));
      $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
    }
    this.show(this.rows);
  }

  show(rows) {
    this.rows = rows;
    const { part } = this, wanted = rows[part] ?? [];
    if ($("near").dataset.shown === `${part} ${wanted}`) return;
    $("near").dataset.shown = `${part} ${wanted}`;
    $("near").replaceChildren(...wanted.map((row, at) => {
      const words = `Take the ${title(part).toLowerCase()} of ${at ? `face ${at + 1} by nearness` : "the nearest face"}`;
      const image = picture(`api/parts/${part}/${row}.png?model=${this.model.digest}`, words, 88);
      return pictureButton(image, words, () => this.take(image, part));
    }));
  }

  async take(image, name) {
    try {
      await image.decode();
    } catch { return toast("The part could not be taken; try again."); }
    return this.ink.paste(image, name, this.model.windows);
  }
}

function setShare(name, value) {
  $(`wb-${name}`).value = value;
  document.querySelector(`output[for="wb-${name}"]`).value = Number(value).toFixed(2);
}
