// The face: shown, kept in the history, kept as an end of a morph.
import { $, picture, pictureButton } from "./common.js";

const MOST_PAST = 12;

export class Results {
  constructor(goBack, morph) {
    Object.assign(this, { goBack, face: null, shown: 0, past: [], kept: { a: null, b: null } });
    for (const end of ["a", "b"]) $(`keep-${end}`).onclick = () => this.keep(end);
    $("morph").oninput = morph;
  }

  // `told` is what was asked for; nothing for a morph, which is no drawing one could go back to.
  async show(header, blob, told, words) {
    if (header.id < this.shown) return;
    this.shown = header.id;
    const bitmap = await createImageBitmap(blob);
    const canvas = $("face");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.setAttribute("aria-label", "The face of your drawing");
    canvas.dataset.id = header.id;
    $("took").textContent = words;
    this.face = { blob, ...told };
    this.enable(true, Boolean(told));
    if (told) this.addPast(this.face);
  }

  hide() {
    this.face = null;
    $("face").getContext("2d").clearRect(0, 0, $("face").width, $("face").height);
    $("face").setAttribute("aria-label", "No face yet");
    $("took").textContent = "";
    this.enable(false, false);
  }

  enable(there, drawn) {
    $("none").hidden = there;
    $("save-face").disabled = !there;
    for (const id of ["keep-a", "keep-b"]) $(id).disabled = !drawn;
  }

  addPast(entry) {
    const { past } = this;
    // Moving a slider draws the same sketch again and again: only the last of these is kept.
    if (past[0] && past[0].version === entry.version) URL.revokeObjectURL(past.shift().url);
    past.unshift({ ...entry, url: URL.createObjectURL(entry.blob) });
    if (past.length > MOST_PAST) URL.revokeObjectURL(past.pop().url);
    $("strip").replaceChildren(...past.map((one, at) => {
      const words = at ? `Back to the drawing ${at} before the last` : "The last drawing";
      return pictureButton(picture(one.url, words, 48), words, () => this.goBack(one));
    }));
  }

  keep(end) {
    if (!this.face?.png) return;
    if (this.kept[end]) URL.revokeObjectURL(this.kept[end].url);
    this.kept[end] = { ...this.face, url: URL.createObjectURL(this.face.blob) };
    const button = $(`keep-${end}`);
    button.style.backgroundImage = `url(${this.kept[end].url})`;
    button.classList.add("kept");
    const both = Boolean(this.kept.a && this.kept.b);
    $("morph").disabled = !both;
    $("morph-note").textContent = both ? "Slide from A to B; keep others at any time." : `Draw another, keep it as ${this.kept.a ? "B" : "A"}.`;
  }
}
