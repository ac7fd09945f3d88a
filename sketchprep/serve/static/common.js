// What every part of the page needs: elements by id, names of parts, messages.

export const $ = (id) => document.getElementById(id);

const TITLES = { left_eye: "Left eye", right_eye: "Right eye", nose: "Nose", mouth: "Mouth", remainder: "Outline and hair" };
export const title = (part) => TITLES[part] ?? part;

let hiding = 0;

// A message at the foot of the page; it goes after a while, unless something is still being done.
export function toast(words, stay = false) {
  $("toast").textContent = words;
  $("toast").hidden = !words;
  clearTimeout(hiding);
  if (!stay) hiding = setTimeout(() => { $("toast").hidden = true; }, 4000 + 40 * words.length);
}

export function picture(source, words, side) {
  const image = new Image(side, side);
  image.src = source;
  image.alt = words;
  return image;
}

export function pictureButton(image, words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = words;
  button.append(image);
  button.onclick = act;
  return button;
}
