// Pen, eraser, finger and mouse on the canvas.
import { $ } from "./common.js";
import { SIDE } from "./ink.js";

const PALM = 1500; // milliseconds for which a touch beside a pen is a resting hand

export class Hand {
  constructor(ink) {
    Object.assign(this, { ink, erase: false, pointer: null, kind: "", pen: -PALM });
    const canvas = $("ink");
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event, true));
    canvas.addEventListener("pointerleave", () => { if (this.pointer === null) $("ring").hidden = true; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    $("pen").onclick = () => this.choose(false);
    $("eraser").onclick = () => this.choose(true);
  }

  choose(erase) {
    this.erase = erase;
    $("pen").setAttribute("aria-pressed", String(!erase));
    $("eraser").setAttribute("aria-pressed", String(erase));
    $("ring").hidden = true;
  }

  down(event) {
    const pen = event.pointerType === "pen";
    if (event.button === 1 || (event.pointerType === "touch" && event.timeStamp - this.pen < PALM)) return;
    if (this.pointer !== null) {
      if (!pen || this.kind !== "touch") return;
      this.ink.cancel(); // the hand came down before the pen
    }
    Object.assign(this, { pointer: event.pointerId, kind: event.pointerType });
    $("ink").setPointerCapture(event.pointerId);
    this.ink.start(...place(event), this.tool(event));
    this.ring(event);
  }

  move(event) {
    if (event.pointerType === "pen") this.pen = event.timeStamp;
    this.ring(event);
    if (event.pointerId !== this.pointer) return;
    const points = event.getCoalescedEvents?.() ?? [];
    for (const one of points.length ? points : [event]) this.ink.move(...place(one), this.tool(one).width);
  }

  up(event, lost = false) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    if (lost) this.ink.cancel();
    else this.ink.end();
  }

  // The other end of a pen, or the right button, erases.
  tool(event) {
    const erase = this.erase || (event.buttons & 34) !== 0;
    const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.4 + 1.2 * event.pressure : 1;
    return { erase, width: Number($(erase ? "erase-width" : "width").value) * (erase ? 1 : pressed) };
  }

  // How much the eraser takes.
  ring(event) {
    const { erase, width } = this.tool(event);
    $("ring").hidden = !erase;
    if (!erase) return;
    const [x, y] = place(event), side = `${width / (SIDE / 100)}%`;
    Object.assign($("ring").style, { left: `${x / (SIDE / 100)}%`, top: `${y / (SIDE / 100)}%`, width: side, height: side });
  }
}

function place(event) {
  const box = $("ink").getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
}
