// The models side by side, drawn now: the same subjects at the scale that is chosen for all of them.

import { Preview } from "./preview.js";

const sheets = [...document.querySelectorAll("[data-sheet]")].map((figure) => ({ figure, preview: new Preview(figure) }));

function show(scale) {
  for (const { figure, preview } of sheets) {
    figure.querySelector("input").value = scale;
    figure.querySelector("output").textContent = scale;
    preview.show(JSON.stringify({
      model: figure.dataset.sheet, seed: 7, variability: { scale: Number(scale) },
      subjects: Number(figure.dataset.rows), samples_per_subject: Number(figure.dataset.columns),
    }));
  }
}

let timer;
for (const { figure } of sheets) {
  figure.querySelector("input").addEventListener("input", (event) => {
    for (const { figure: other } of sheets) other.querySelector("output").textContent = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(show, 150, event.target.value);
  });
}
show("1");
