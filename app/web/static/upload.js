// Handing files in: their digest first (in a worker), then the bytes, with progress, and to be stopped at any moment.

import { ask, csrf } from "./service.js";

const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

class Handing {
  constructor(part) {
    this.part = part;
    this.input = part.querySelector('input[type="file"]');
    this.value = part.querySelector('input[type="hidden"]');
    this.said = part.querySelector("[data-said]");
    this.going = part.querySelector("[data-going]");
    this.bar = part.querySelector("progress");
    this.input.addEventListener("change", () => this.input.files[0] && this.take(this.input.files[0]));
    part.querySelector("[data-stop]").addEventListener("click", () => this.stop("Stopped; nothing of it is kept."));
    for (const kind of ["dragover", "dragleave", "drop"]) {
      part.addEventListener(kind, (event) => {
        event.preventDefault();
        part.classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
      });
    }
  }

  get busy() { return !this.going.hidden; }

  say(text, bad = false) {
    this.said.textContent = text;
    this.said.classList.toggle("bad", bad);
  }

  stop(text, bad = false) {
    this.worker?.terminate();
    this.request?.abort();
    this.worker = this.request = null;
    this.going.hidden = true;
    this.say(text, bad);
  }

  async take(file) {
    this.stop("");
    this.value.value = "";
    if (file.size > Number(this.part.dataset.most)) {
      this.say(`${file.name} has ${size(file.size)}; one file may have ${size(Number(this.part.dataset.most))} at the most.`, true);
      return;
    }
    if (file.size === 0) { this.say(`${file.name} is empty.`, true); return; }
    this.going.hidden = false;
    const turn = (this.turn = {});
    try {
      const digest = await this.digest(file);
      if (turn !== this.turn) return;
      await this.send(file, digest);
      if (turn !== this.turn) return;
      this.value.value = digest;
      this.stop(`${file.name}, ${size(file.size)}: handed in.`);
    } catch (error) {
      if (turn === this.turn && error.name !== "AbortError") this.stop(error.message, true);
    }
  }

  digest(file) {
    return new Promise((resolve, reject) => {
      this.worker = new Worker(new URL("./digest.js", import.meta.url));
      this.worker.onmessage = ({ data }) => {
        if (data.error) reject(new Error(data.error));
        else if (data.digest) resolve(data.digest);
        else { this.bar.value = 0.3 * data.done / file.size; this.say(`${file.name}: reading, ${size(data.done)} of ${size(file.size)}`); }
      };
      this.worker.onerror = () => reject(new Error("the file cannot be read here"));
      this.worker.postMessage(file);
    });
  }

  async send(file, digest) {
    const where = `/v1/uploads/${digest}`;
    for (;;) {
      const answer = await this.put(where, file);
      if (answer.status === 401) { await ask("/v1/whoami"); continue; }
      if (answer.status >= 200 && answer.status < 300) return;
      throw new Error(answer.detail);
    }
  }

  put(where, file) {
    return new Promise((resolve, reject) => {
      const request = (this.request = new XMLHttpRequest());
      request.open("PUT", where);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.setRequestHeader("X-Facsimile-CSRF", csrf());
      request.upload.onprogress = ({ loaded }) => {
        this.bar.value = 0.3 + 0.7 * loaded / file.size;
        this.say(`${file.name}: handing in, ${size(loaded)} of ${size(file.size)}`);
      };
      request.onload = () => {
        let detail = `the service answered ${request.status}`;
        try { detail = JSON.parse(request.responseText).detail ?? detail; } catch { /* no JSON */ }
        resolve({ status: request.status, detail });
      };
      request.onerror = () => reject(new Error("the service does not answer just now; choose the file again to go on"));
      request.onabort = () => reject(new DOMException("stopped", "AbortError"));
      request.send(file);
    });
  }
}

const parts = [...document.querySelectorAll(".drop")].map((part) => new Handing(part));

document.getElementById("evaluate").addEventListener("submit", (event) => {
  const busy = parts.find((part) => part.busy);
  const scores = parts[0];
  if (busy) { event.preventDefault(); busy.say("It is being handed in; wait for its end, or stop it."); }
  else if (!scores.value.value) { event.preventDefault(); scores.say("Choose the file of the new scores first.", true); scores.input.focus(); }
});
addEventListener("beforeunload", (event) => { if (parts.some((part) => part.busy)) event.preventDefault(); });
