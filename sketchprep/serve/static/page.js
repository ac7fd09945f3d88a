// The page: asks for shadow and face when something changes, shows what comes, listens to keys.
import { $, toast } from "./common.js";
import { Files } from "./files.js";
import { Hand } from "./hand.js";
import { Ink, SIDE } from "./ink.js";
import { Link } from "./link.js";
import { Parts } from "./parts.js";
import { Results } from "./results.js";

const FEW_STROKES = 4; // so few tell nothing of where the face will be

let model = null, link = null, parts = null, hand = null;
let morphing = false, advised = true;
const asked = new Map();
const ink = new Ink($("ink"), inkChanged);
const results = new Results(goBack, askMorph);

// -- asking and answering ---------------------------------------------------------------------------------------

async function ask(want) {
  if (!link) return;
  morphing = false;
  const told = { wb: parts.shares, bank: $("bank").value, version: ink.version, ink: ink.now };
  told.png = await ink.png();
  const number = await link.send({ type: "draw", want, wb: told.wb, bank: [told.bank] }, [told.png]);
  asked.set(number, told);
  document.body.dataset.asked = number;
  for (const key of asked.keys()) if (key < number - 20) asked.delete(key);
}

const refresh = (wantShadow = true) => ask([...(wantShadow ? ["shadow"] : []), ...($("live").checked ? ["face"] : [])]);

async function askMorph() {
  const ends = [results.kept.a, results.kept.b];
  if (!ends[0] || !ends[1]) return;
  morphing = true;
  const header = { type: "morph", want: ["face"], share: Number($("morph").value) };
  await link.send({ ...header, wb: ends.flatMap((end) => end.wb), bank: ends.map((end) => end.bank) }, ends.map((end) => end.png));
}

function answered(header, pictures) {
  if (header.type === "error") toast(header.message);
  else if (header.type === "shadow") showShadow(header, pictures);
  else results.show(header, pictures[0], asked.get(header.id), morphing ? `morph ${Math.round(100 * $("morph").value)} %` : `${header.ms} ms`);
}

async function showShadow(header, pictures) {
  const bitmap = pictures.length ? await createImageBitmap(pictures[0]) : null;
  const context = $("shadow").getContext("2d");
  context.clearRect(0, 0, SIDE, SIDE);
  if (bitmap) context.drawImage(bitmap, 0, 0, SIDE, SIDE);
  $("shadow").dataset.id = header.id;
  parts.show(header.neighbours);
  advise(header.advice);
  if (header.blank.length === model.parts.length && header.id >= results.shown) results.hide();
}

function advise(words) {
  const shown = Boolean(words) && advised && ink.strokes >= FEW_STROKES;
  if (shown) $("advice").firstElementChild.textContent = `Your drawing ${words}.`;
  $("advice").hidden = !shown;
}
$("advice-close").onclick = () => { advised = false; advise(""); $("ink").focus(); };

function inkChanged() {
  const { blank } = ink;
  $("undo").disabled = !ink.past.length;
  $("redo").disabled = !ink.future.length;
  $("invite").hidden = !blank;
  $("clear").disabled = $("save-sketch").disabled = blank;
  if (blank) { advised = true; advise(""); }
  refresh();
}

function goBack(entry) {
  parts.shares = entry.wb;
  $("bank").value = entry.bank;
  if (entry.version === ink.version) refresh();
  else ink.put(entry.ink);
}

// -- controls ---------------------------------------------------------------------------------------------------

$("undo").onclick = () => ink.undo();
$("redo").onclick = () => ink.redo();
$("clear").onclick = () => ink.clear();
$("live").onchange = () => $("live").checked && refresh(false);
$("draw").onclick = () => ask(["shadow", "face"]);
$("bank").onchange = () => refresh();
$("help-open").onclick = () => $("help").showModal();
for (const button of document.querySelectorAll(".examples-open")) button.onclick = () => $("examples").showModal();

const setStrength = () => { $("shadow").style.opacity = $("shadow-on").checked ? $("strength").value : 0; };
$("shadow-on").onchange = setStrength;
$("strength").oninput = () => { $("shadow-on").checked = true; setStrength(); };

for (const input of document.querySelectorAll("#tools input[type=range]")) {
  input.addEventListener("input", () => {
    document.querySelector(`output[for="${input.id}"]`).value = input.id === "strength" ? `${Math.round(100 * input.value)} %` : input.value;
  });
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* private windows keep nothing */ }
}
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

const KEYS = {
  b: () => hand.choose(false), e: () => hand.choose(true), h: () => $("shadow-on").click(), l: () => $("live").click(),
  o: () => $("load").click(), s: () => $("save-face").click(), "?": () => $("help").showModal(),
};
for (const width of "1234") KEYS[width] = () => { $("width").value = width; $("width").dispatchEvent(new Event("input")); hand.choose(false); };

addEventListener("keydown", (event) => {
  if (!hand || document.querySelector("dialog[open]") || event.target.closest?.("select")) return;
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

// -- the beginning ----------------------------------------------------------------------------------------------

function stateChanged(state, why) {
  const guides = model.faces ? `${model.faces.toLocaleString("en")} faces to guide you` : "no bank: the face follows your lines exactly";
  $("state").dataset.state = state;
  $("state").textContent = state === "open" ? guides : `Connection lost, your drawing is safe; trying again… ${why ?? ""}`;
}

function showModel() {
  $("bank").replaceChildren(...model.banks.map((bank) => new Option(`${bank.title} (${bank.faces.toLocaleString("en")})`, bank.name)));
  $("bank-choice").hidden = model.banks.length < 2;
  for (const id of ["tray", "following", "shadow-tools"]) $(id).hidden = !model.faces;
  if (!model.faces) $("invite").querySelector("p").textContent = "Draw a face here, filling the page.";
  $("about").textContent = `This model draws ${model.size} × ${model.size} px. ${model.licences.join("; ")}`;
}

async function begin() {
  let saved = null;
  try { saved = localStorage.getItem("theme"); } catch { /* as above */ }
  theme(saved ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  setStrength();
  const [about, examples] = await Promise.all(["api/model", "api/examples"].map(async (url) => (await fetch(url)).json()));
  model = about;
  parts = new Parts(model, ink, () => refresh(false));
  hand = new Hand(ink);
  new Files(ink, results, examples);
  showModel();
  link = new Link(answered, stateChanged);
  refresh();
}
begin().catch((error) => toast(`The page cannot begin: ${error.message}; reload it.`, true));
