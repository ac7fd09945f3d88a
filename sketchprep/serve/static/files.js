// Pictures in and out: loading, dropping, pasting, examples, saving.
import { $, picture, pictureButton, toast } from "./common.js";

export class Files {
  constructor(ink, results, examples) {
    Object.assign(this, { ink, results });
    $("load").onclick = () => $("file").click();
    $("file").onchange = () => { this.load($("file").files[0]); $("file").value = ""; };
    $("save-sketch").onclick = async () => save(await ink.png(), "sketch.png");
    $("save-face").onclick = () => results.face && save(results.face.blob, "face.png");
    $("place").onclick = () => this.place();
    this.listen();
    this.show(examples);
  }

  listen() {
    addEventListener("paste", (event) => this.load(event.clipboardData?.files[0]));
    addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.load(event.dataTransfer?.files[0]);
    });
  }

  async load(file) {
    if (!file) return;
    toast("Reading the picture…", true);
    try {
      const answer = await post("api/picture", file);
      this.ink.load(await createImageBitmap(await answer.blob()));
      const note = answer.headers.get("x-notes");
      toast(note || (answer.headers.get("x-kind") === "photo" ? "The photo has become a sketch." : ""));
    } catch (error) {
      toast(`${file.name || "The picture"} cannot be loaded: ${error.message}`);
    }
  }

  async place() {
    $("place").disabled = true;
    try {
      const answer = await post("api/place", await this.ink.png());
      this.ink.load(await createImageBitmap(await answer.blob()));
    } catch (error) {
      toast(`The drawing cannot be moved: ${error.message}`);
    }
    $("place").disabled = false;
  }

  show(examples) {
    $("example-list").replaceChildren(...examples.map((name) => {
      const words = name.replace(/\.png$/, "").replaceAll("-", " ");
      const image = picture(`examples/${name}`, words, 180);
      image.loading = "lazy";
      const button = pictureButton(image, words, async () => { await image.decode(); this.ink.load(image); });
      button.type = "submit"; // closes the dialog
      return button;
    }));
  }
}

async function post(url, body) {
  let answer;
  try {
    answer = await fetch(url, { method: "POST", body });
  } catch { throw new Error("the server does not answer"); }
  if (answer.ok) return answer;
  let words = `the server says ${answer.status}`;
  try { words = (await answer.json()).error || words; } catch { /* no JSON */ }
  throw new Error(words);
}

function save(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
}
