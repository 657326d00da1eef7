// The form of a new set: what it looks like and comes to, as one types.

import { ask, pause, replace } from "./service.js";
import { Preview } from "./preview.js";

const form = document.getElementById("new");
const preview = new Preview(document.getElementById("preview"));
let asking = null;

const query = () => {
  const typed = new URLSearchParams(new FormData(form));
  for (const name of ["csrf", "key"]) typed.delete(name);
  for (const [name, value] of [...typed]) if (value === "") typed.delete(name);
  return typed;
};

function look() {
  const draft = document.getElementById("draft");
  const named = new Set([...draft.querySelectorAll("[data-field]")].map((item) => item.dataset.field));
  for (const input of form.elements) {
    const field = { scale: "variability.scale", glasses: "attributes.glasses", size: "image.size" }[input.name] ?? input.name;
    if (named.has(field) || [...named].some((one) => one && one.endsWith(`.${field}`))) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute?.("aria-invalid");
  }
  preview.show(draft.dataset.preview);
  const calibrate = form.querySelector("[data-calibrate]");
  calibrate.hidden = !draft.dataset.calibration || draft.dataset.problems !== "0";
}

async function draft() {
  asking?.abort();
  asking = new AbortController();
  const typed = query();
  history.replaceState(null, "", `/new?${typed}`);
  try {
    const part = replace(await (await ask(`/new/draft?${typed}`, { signal: asking.signal })).text());
    if (part) look();
  } catch (error) {
    if (error.name !== "AbortError") preview.say(error.message);
  }
}

let timer;
const soon = (ms) => { clearTimeout(timer); timer = setTimeout(draft, ms); };

form.addEventListener("input", (event) => {
  const output = event.target.closest(".slider")?.querySelector("output");
  if (output) output.textContent = event.target.value;
  which();
  soon(event.target.type === "range" ? 120 : 250);
});
form.addEventListener("change", (event) => {
  // Another model has other factors and sizes: its own form.
  if (event.target.name === "model") location.href = `/new?${query()}`;
});

function which() {
  const target = form.elements.difficulty.value === "target";
  form.querySelector('[data-when="scale"]').hidden = target;
  form.querySelector('[data-when="target"]').hidden = !target;
}

const dice = form.querySelector("[data-dice]");
dice.hidden = false;
dice.addEventListener("click", () => {
  form.elements.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
  draft();
});

let search = null;
form.querySelector("[data-calibrate] button").addEventListener("click", async () => {
  search?.abort();
  search = new AbortController();
  const { signal } = search;
  try {
    const body = document.getElementById("draft").dataset.calibration;
    const job = await (await ask("/v1/calibrations", {
      method: "POST", body, headers: { "Content-Type": "application/json" }, signal,
    })).json();
    for (;;) {
      const part = replace(await (await ask(`/new/calibration/${job.id}`, { signal })).text());
      if (part?.dataset.scale) { form.elements.calibrated.value = part.dataset.scale; draft(); }
      if (!part?.dataset.again) return;
      await pause(1000 * Number(part.dataset.again), signal);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    const said = document.getElementById("calibration");
    said.textContent = error.message;
  }
});

which();
look();
