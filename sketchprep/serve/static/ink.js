// The drawing: strokes on a canvas whose opacity is ink, with undo. Knows nothing of the server.

export const SIDE = 512;
const MOST_STEPS = 60;
const CLEAR = 16;
const PICTURE = 100; // strokes

export class Ink {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.changed = changed;
    this.past = [];
    this.future = [];
    this.now = new Uint8ClampedArray(SIDE * SIDE);
    this.stroke = null;
    this.version = 0;
    this.strokes = 0; // since the page was blank; a picture counts as many
  }

  get blank() { return !this.now.some((value) => value > CLEAR); }

  start(x, y, tool) {
    this.stroke = { x, y, midX: x, midY: y, tool };
    this.move(x, y, tool.width, true);
  }

  move(x, y, width, dot = false) {
    const { context, stroke } = this;
    if (!stroke || (!dot && Math.hypot(x - stroke.x, y - stroke.y) < 0.7)) return;
    context.globalCompositeOperation = stroke.tool.erase ? "destination-out" : "source-over";
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(stroke.midX, stroke.midY);
    // Through the middles of what the pointer reports, so that a fast stroke has no corners.
    const midX = (stroke.x + x) / 2, midY = (stroke.y + y) / 2;
    context.quadraticCurveTo(stroke.x, stroke.y, dot ? x + 0.01 : midX, midY);
    context.stroke();
    Object.assign(stroke, { x, y, midX, midY });
  }

  end() {
    if (!this.stroke) return;
    const { x, y, midX, midY } = this.stroke;
    this.context.beginPath();
    this.context.moveTo(midX, midY);
    this.context.lineTo(x, y);
    this.context.stroke();
    this.stroke = null;
    this.context.globalCompositeOperation = "source-over";
    this.commit();
  }

  cancel() {
    this.stroke = null;
    this.show(this.now);
  }

  commit() {
    const pixels = this.context.getImageData(0, 0, SIDE, SIDE).data;
    const next = new Uint8ClampedArray(SIDE * SIDE);
    for (let at = 0; at < next.length; at++) next[at] = pixels[4 * at + 3];
    this.put(next, this.strokes + 1, true);
  }

  put(next, strokes = PICTURE, shown = false) {
    if (same(next, this.now)) return;
    this.past.push(this.now);
    if (this.past.length > MOST_STEPS) this.past.shift();
    this.future = [];
    this.now = next;
    this.strokes = this.blank ? 0 : strokes;
    if (!shown) this.show(next);
    this.tell();
  }

  undo() { this.step(this.past, this.future); }
  redo() { this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length || this.stroke) return;
    to.push(this.now);
    this.now = from.pop();
    this.show(this.now);
    this.tell();
  }

  clear() { this.put(new Uint8ClampedArray(SIDE * SIDE)); }

  show(ink) {
    const image = new ImageData(SIDE, SIDE);
    for (let at = 0; at < ink.length; at++) image.data[4 * at + 3] = ink[at];
    this.context.globalCompositeOperation = "source-over";
    this.context.putImageData(image, 0, 0);
  }

  tell() {
    this.version += 1;
    this.changed();
  }

  load(bitmap) { this.put(darkness(bitmap, SIDE)); }

  // Takes a part's sketch in: fully in the middle of its window, not at all at the border.
  paste(bitmap, part, windows) {
    const [left, top, side] = windows[part];
    // What the bank remembers is soft; on the page it is to be a line.
    const dark = darkness(bitmap, side).map((value) => Math.max(0, value - 56) * 1.5);
    const next = this.now.slice();
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const to = (top + y) * SIDE + left + x;
        const share = part === "remainder" ? 1 - covered(x, y, windows) : soft(x, y, side);
        next[to] = Math.round(next[to] * (1 - share) + dark[y * side + x] * share);
      }
    }
    this.put(next);
  }

  async png() {
    const page = new OffscreenCanvas(SIDE, SIDE);
    const context = page.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.drawImage(this.canvas, 0, 0);
    return page.convertToBlob({ type: "image/png" });
  }
}

function same(a, b) {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function darkness(bitmap, side) {
  const page = new OffscreenCanvas(side, side);
  const context = page.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.drawImage(bitmap, 0, 0, side, side);
  const pixels = context.getImageData(0, 0, side, side).data;
  const found = new Uint8ClampedArray(side * side);
  for (let at = 0; at < found.length; at++) {
    const dark = 255 - (0.299 * pixels[4 * at] + 0.587 * pixels[4 * at + 1] + 0.114 * pixels[4 * at + 2]);
    found[at] = dark > CLEAR ? dark : 0;
  }
  return found;
}

function soft(x, y, side) {
  const across = Math.abs(((x + 0.5) / side) * 2 - 1), down = Math.abs(((y + 0.5) / side) * 2 - 1);
  const near = Math.min(1, Math.max(0, (0.97 - Math.sqrt(Math.hypot(across ** 2, down ** 2))) / 0.42));
  return near * near * (3 - 2 * near);
}

function covered(x, y, windows) {
  let most = 0;
  for (const [part, [left, top, side]] of Object.entries(windows)) {
    if (part === "remainder" || x < left || y < top || x >= left + side || y >= top + side) continue;
    most = Math.max(most, soft(x - left, y - top, side));
  }
  return most;
}
