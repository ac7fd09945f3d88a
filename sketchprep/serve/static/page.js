// The page: what happens when something is drawn, moved, clicked or answered.
import { Ink, SIDE } from "./ink.js";
import { Link } from "./link.js";

const $ = (id) => document.getElementById(id);
const TITLES = { left_eye: "Left eye", right_eye: "Right eye", nose: "Nose", mouth: "Mouth", remainder: "Outline and hair" };
const MOST_PAST = 12;
const START_SHARE = 0.3;

let model = null, link = null;
let erase = false, part = "mouth", rows = {}, shown = 0;
let face = null; // {blob, png, wb, bank, version}
let morphing = false;
const kept = { a: null, b: null };
const past = [];
const ink = new Ink($("ink"), inkChanged);

// -- asking and answering ---------------------------------------------------------------------------------------

const shares = () => model.parts.map((name) => Number($(`wb-${name}`).value));
const asked = new Map();

async function ask(want) {
  if (!link) return;
  morphing = false;
  const told = { wb: shares(), bank: $("bank").value, version: ink.version, ink: ink.now };
  const png = await ink.png();
  told.png = png;
  const number = link.send({ type: "draw", want, wb: told.wb, bank: [told.bank] }, [png]);
  remember(await number, told);
}

function remember(number, told) {
  asked.set(number, told);
  document.body.dataset.asked = number;
  for (const key of asked.keys()) if (key < number - 20) asked.delete(key);
}

const refresh = (wantShadow = true) => ask([...(wantShadow ? ["shadow"] : []), ...($("live").checked ? ["face"] : [])]);

async function askMorph() {
  if (!kept.a || !kept.b) return;
  morphing = true;
  const ends = [kept.a, kept.b];
  const header = { type: "morph", want: ["face"], share: Number($("morph").value) };
  await link.send({ ...header, wb: ends.flatMap((end) => end.wb), bank: ends.map((end) => end.bank) }, ends.map((end) => end.png));
}

async function answered(header, pictures) {
  if (header.type === "error") return toast(header.message);
  if (header.type === "shadow") {
    rows = header.neighbours;
    showTray();
    const context = $("shadow").getContext("2d");
    const bitmap = pictures.length ? await createImageBitmap(pictures[0]) : null;
    context.clearRect(0, 0, SIDE, SIDE);
    if (bitmap) context.drawImage(bitmap, 0, 0, SIDE, SIDE);
    $("shadow").dataset.id = header.id;
    if (header.blank.length === model.parts.length && header.id >= shown) hideFace();
    return undefined;
  }
  if (header.id < shown) return undefined;
  shown = header.id;
  await showFace(pictures[0], morphing ? `morph ${Math.round(100 * $("morph").value)} %` : `${header.ms} ms`);
  const told = asked.get(header.id);
  face = { blob: pictures[0], ...told };
  $("face").dataset.id = header.id;
  for (const id of ["keep-a", "keep-b"]) $(id).disabled = !told;
  if (told) addPast(face);
  return undefined;
}

async function showFace(blob, words) {
  const bitmap = await createImageBitmap(blob);
  const canvas = $("face");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  canvas.setAttribute("aria-label", "The face of your drawing");
  $("none").hidden = true;
  $("save-face").disabled = false;
  $("took").textContent = words;
}

function hideFace() {
  face = null;
  $("face").getContext("2d").clearRect(0, 0, $("face").width, $("face").height);
  $("face").setAttribute("aria-label", "No face yet");
  $("none").hidden = false;
  for (const id of ["save-face", "keep-a", "keep-b"]) $(id).disabled = true;
}

function inkChanged() {
  $("undo").disabled = !ink.past.length;
  $("redo").disabled = !ink.future.length;
  $("invite").hidden = !ink.blank;
  refresh();
}

// -- drawing ----------------------------------------------------------------------------------------------------

function place(event) {
  const box = $("ink").getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
}

function tool(event) {
  // The other end of a pen, or the right button, erases.
  const rubs = erase || (event.buttons & 34) !== 0;
  const pressed = event.pointerType === "pen" && event.pressure > 0 ? 0.4 + 1.2 * event.pressure : 1;
  return { erase: rubs, width: Number($(rubs ? "erase-width" : "width").value) * (rubs ? 1 : pressed) };
}

let pointer = null;
$("ink").addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button === 1) return;
  pointer = event.pointerId;
  $("ink").setPointerCapture(pointer);
  ink.start(...place(event), tool(event));
});
$("ink").addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const points = event.getCoalescedEvents?.() ?? [];
  for (const one of points.length ? points : [event]) ink.move(...place(one), tool(one).width);
});
for (const kind of ["pointerup", "pointercancel"]) {
  $("ink").addEventListener(kind, (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    if (kind === "pointerup") ink.end();
    else ink.cancel();
  });
}
$("ink").addEventListener("contextmenu", (event) => event.preventDefault());

function choose(rub) {
  erase = rub;
  $("pen").setAttribute("aria-pressed", String(!rub));
  $("eraser").setAttribute("aria-pressed", String(rub));
}
$("pen").onclick = () => choose(false);
$("eraser").onclick = () => choose(true);
$("undo").onclick = () => ink.undo();
$("redo").onclick = () => ink.redo();
$("clear").onclick = () => ink.clear();

// -- loading and saving -----------------------------------------------------------------------------------------

async function loadPicture(file) {
  if (!file) return;
  toast("reading the picture…");
  try {
    const answer = await fetch("/api/picture", { method: "POST", body: file });
    if (!answer.ok) throw new Error(await reason(answer));
    ink.load(await createImageBitmap(await answer.blob()));
    const note = answer.headers.get("x-notes");
    toast(note || (answer.headers.get("x-kind") === "photo" ? "the photo has become a sketch" : ""));
  } catch (error) {
    toast(`${file.name || "The picture"} cannot be loaded: ${error.message}`);
  }
}

async function reason(answer) {
  try {
    const found = await answer.json();
    return found.error || (typeof found.detail === "string" ? found.detail : `the server says ${answer.status}`);
  } catch { return `the server says ${answer.status}`; }
}

function save(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
}

$("load").onclick = () => $("file").click();
$("file").onchange = () => { loadPicture($("file").files[0]); $("file").value = ""; };
$("save-sketch").onclick = async () => save(await ink.png(), "sketch.png");
$("save-face").onclick = () => face && save(face.blob, "face.png");
addEventListener("paste", (event) => loadPicture(event.clipboardData?.files[0]));
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  loadPicture(event.dataTransfer?.files[0]);
});

// -- shadow, sliders, tray --------------------------------------------------------------------------------------

function showShadow() {
  $("shadow").style.opacity = $("shadow-on").checked ? $("strength").value : 0;
}
$("shadow-on").onchange = showShadow;
$("strength").oninput = () => { $("shadow-on").checked = true; showShadow(); };

function slider(name, title) {
  const label = document.createElement("label");
  label.className = "slide";
  const output = document.createElement("output"), input = document.createElement("input");
  Object.assign(input, { id: `wb-${name}`, type: "range", min: 0, max: 1, step: 0.05 });
  input.value = START_SHARE;
  label.htmlFor = input.id; // else it would be the output's, which comes first
  output.htmlFor = input.id;
  output.value = START_SHARE.toFixed(2);
  label.append(title, " ", output, input);
  input.addEventListener("input", () => {
    for (const one of name === "all" ? model.parts : [name]) setShare(one, input.value);
    output.value = Number(input.value).toFixed(2);
    refresh(false);
  });
  if (name !== "all") highlight(label, name);
  $("sliders").append(label);
}

function setShare(name, value) {
  $(`wb-${name}`).value = value;
  document.querySelector(`output[for="wb-${name}"]`).value = Number(value).toFixed(2);
}

// Shows on the paper where a part lies while its slider or tab is pointed at.
function highlight(element, name) {
  const show = () => {
    const [left, top, side] = model.windows[name];
    Object.assign($("frame").style, { left: `${left / 5.12}%`, top: `${top / 5.12}%`, width: `${side / 5.12}%`, height: `${side / 5.12}%` });
    $("frame").hidden = false;
  };
  const hide = () => { $("frame").hidden = true; };
  for (const [kind, act] of [["pointerenter", show], ["focusin", show], ["pointerleave", hide], ["focusout", hide]]) element.addEventListener(kind, act);
}

function tab(name) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: TITLES[name] ?? name, id: `tab-${name}` });
  button.setAttribute("role", "radio");
  button.onclick = () => choosePart(name);
  button.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = model.parts.at((model.parts.indexOf(part) + step) % model.parts.length);
    choosePart(next);
    $(`tab-${next}`).focus();
  };
  highlight(button, name);
  $("tabs").append(button);
}

function choosePart(name) {
  part = name;
  for (const one of model.parts) {
    $(`tab-${one}`).setAttribute("aria-checked", String(one === name));
    $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  showTray();
}

function showTray() {
  const wanted = rows[part] ?? [];
  if ($("near").dataset.shown === `${part} ${wanted}`) return;
  $("near").dataset.shown = `${part} ${wanted}`;
  $("near").replaceChildren(...wanted.map((row, at) => {
    const button = document.createElement("button"), image = new Image(88, 88);
    button.type = "button";
    const words = `Take the ${(TITLES[part] ?? part).toLowerCase()} of the face that is ${at + 1}. nearest`;
    button.title = image.alt = words;
    image.src = `/api/parts/${part}/${row}.png?model=${model.digest}`;
    button.append(image);
    button.onclick = () => take(image, part);
    return button;
  }));
}

async function take(image, name) {
  try {
    await image.decode();
    ink.paste(image, name, model.windows);
  } catch { toast("the part could not be taken; try again"); }
}

// -- history and morph ------------------------------------------------------------------------------------------

function addPast(entry) {
  // Moving a slider draws the same sketch again and again: only the last of these is kept.
  if (past[0] && past[0].version === entry.version) URL.revokeObjectURL(past.shift().url);
  past.unshift({ ...entry, url: URL.createObjectURL(entry.blob) });
  if (past.length > MOST_PAST) URL.revokeObjectURL(past.pop().url);
  $("strip").replaceChildren(...past.map((one, at) => {
    const button = document.createElement("button"), image = new Image(46, 46);
    button.type = "button";
    button.title = image.alt = at ? `Back to the drawing ${at} before the last` : "The last drawing";
    image.src = one.url;
    button.append(image);
    button.onclick = () => goBack(one);
    return button;
  }));
}

function goBack(entry) {
  model.parts.forEach((name, at) => setShare(name, entry.wb[at]));
  $("bank").value = entry.bank;
  if (entry.version === ink.version) refresh();
  else ink.put(entry.ink);
}

function keep(which) {
  if (!face?.png) return;
  if (kept[which]) URL.revokeObjectURL(kept[which].url);
  kept[which] = { ...face, url: URL.createObjectURL(face.blob) };
  const button = $(`keep-${which}`);
  button.style.backgroundImage = `url(${kept[which].url})`;
  button.classList.add("kept");
  $("morph").disabled = !(kept.a && kept.b);
}
$("keep-a").onclick = () => keep("a");
$("keep-b").onclick = () => keep("b");
$("morph").oninput = askMorph;

// -- the rest ---------------------------------------------------------------------------------------------------

let hiding = 0;
function toast(words) {
  $("toast").textContent = words;
  $("toast").hidden = !words;
  clearTimeout(hiding);
  hiding = setTimeout(() => { $("toast").hidden = true; }, 6000);
}

function stateChanged(state, why) {
  $("state").dataset.state = state;
  $("state").textContent = state === "open" ? `${model.faces.toLocaleString("en")} faces to guide you` : `connection lost; trying again… ${why ?? ""}`;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* private windows keep nothing */ }
}
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

for (const name of ["examples", "help"]) $(`${name}-open`).onclick = () => $(name).showModal();
for (const input of document.querySelectorAll("#tools input[type=range]")) {
  input.addEventListener("input", () => {
    document.querySelector(`output[for="${input.id}"]`).value = input.id === "strength" ? `${Math.round(100 * input.value)} %` : input.value;
  });
}
$("live").onchange = () => $("live").checked && refresh(false);
$("draw").onclick = () => ask(["shadow", "face"]);
$("bank").onchange = () => refresh();

const KEYS = {
  b: () => choose(false), e: () => choose(true), h: () => $("shadow-on").click(), l: () => $("live").click(),
  o: () => $("load").click(), s: () => $("save-face").click(), "?": () => $("help").showModal(),
};
for (const width of "1234") KEYS[width] = () => { $("width").value = width; $("width").dispatchEvent(new Event("input")); choose(false); };

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.target.closest?.("select")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && ["z", "y"].includes(key)) {
    event.preventDefault();
    if (key === "y" || event.shiftKey) ink.redo();
    else ink.undo();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
    if (event.key === "Enter" && !event.target.closest?.("button, input")) $("draw").click();
    else if (KEYS[key]) { event.preventDefault(); KEYS[key](); }
  }
});

function showExamples(names) {
  $("example-list").replaceChildren(...names.map((name) => {
    const button = document.createElement("button"), image = new Image(180, 180);
    image.src = `/examples/${name}`;
    image.loading = "lazy";
    image.alt = name.replace(/\.png$/, "").replaceAll("-", " ");
    button.append(image);
    button.onclick = async () => { await image.decode(); ink.load(image); };
    return button;
  }));
}

async function begin() {
  let saved = null;
  try { saved = localStorage.getItem("theme"); } catch { /* as above */ }
  theme(saved ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  const [about, examples] = await Promise.all(["/api/model", "/api/examples"].map(async (url) => (await fetch(url)).json()));
  model = about;
  slider("all", "All");
  for (const name of model.parts) { slider(name, TITLES[name] ?? name); tab(name); }
  choosePart(part);
  $("bank").replaceChildren(...model.banks.map((bank) => new Option(`${bank.title} (${bank.faces.toLocaleString("en")})`, bank.name)));
  $("bank-choice").hidden = model.banks.length < 2;
  for (const id of ["tray", "refine"]) $(id).classList.toggle("without", !model.faces);
  showExamples(examples);
  link = new Link(answered, stateChanged);
  refresh();
}
begin().catch((error) => toast(`The page cannot begin: ${error.message}; reload it.`));
