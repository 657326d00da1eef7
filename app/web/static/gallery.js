// The gallery: more as one comes near the end, and one sample large with all that is true of it.

import { ask } from "./service.js";

const dialog = document.getElementById("zoom");
let shown = null;

const place = (pointer) => [...document.querySelectorAll("#samples [data-sample]")].indexOf(pointer);

function fact(list, name, value) {
  const term = document.createElement("dt"), text = document.createElement("dd");
  term.textContent = name.replaceAll("_", " ");
  text.textContent = typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : String(value);
  list.append(term, text);
}

function show(link) {
  shown = link;
  const sample = JSON.parse(link.dataset.sample);
  dialog.querySelector("[data-name]").textContent = sample.id;
  const image = dialog.querySelector(".zoomed img");
  image.src = link.href;
  image.alt = link.getAttribute("aria-label");
  dialog.querySelector("[data-file]").href = link.href;
  const truth = dialog.querySelector("[data-truth]");
  truth.replaceChildren();
  fact(truth, "role", sample.role);
  for (const part of ["attributes", "shown", "quality"]) {
    for (const [name, value] of Object.entries(sample[part] ?? {})) {
      if (value !== null) fact(truth, part === "shown" ? `shown: ${name}` : name, value);
    }
  }
  fact(truth, "draw", sample.attempt + 1);
  if (sample.identity_attempt) fact(truth, "draw of the identity", sample.identity_attempt + 1);
  fact(truth, "pixels", sample.pixel_sha256.slice(0, 16));
  fact(truth, "file", `${sample.file.split("/").pop()}, ${sample.bytes.toLocaleString("en")} bytes`);
  const mated = dialog.querySelector("[data-mated]");
  mated.replaceChildren();
  for (const other of document.querySelectorAll("#samples [data-sample]")) {
    if (JSON.parse(other.dataset.sample).subject !== sample.subject) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.setAttribute("aria-label", other.getAttribute("aria-label"));
    if (other === link) button.setAttribute("aria-current", "true");
    button.append(other.firstElementChild.cloneNode(true));
    button.addEventListener("click", () => show(other));
    mated.append(button);
  }
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const all = document.querySelectorAll("#samples [data-sample]");
  const next = all[place(shown) + by];
  if (next) show(next);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#samples [data-sample]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    show(link);
  }
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
for (const button of dialog.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
dialog.addEventListener("close", () => shown?.focus());

const watcher = new IntersectionObserver(async (seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    try {
      const text = await (await ask(target.querySelector("a").href)).text();
      const next = new DOMParser().parseFromString(text, "text/html").getElementById("samples");
      target.replaceWith(...next.childNodes);
      watch();
    } catch { /* the link stays, to be followed by hand */ }
  }
}, { rootMargin: "800px" });

function watch() {
  const more = document.querySelector("#samples > [data-more]");
  if (more) watcher.observe(more);
}
watch();
