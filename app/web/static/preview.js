// Previews: one at a time under way for each picture, the latest wish is made next, and what lies between is left out.

import { ask, pause } from "./service.js";

export class Preview {
  constructor(figure) {
    this.figure = figure;
    this.image = figure.querySelector("img");
    this.state = figure.querySelector("[data-state]");
    this.shown = this.wanted = this.asked = "";
    this.working = false;
  }

  // `body` is the JSON of a preview request.
  show(body) {
    if (!body || body === this.wanted) return;
    this.wanted = body;
    this.figure.hidden = false;
    this.figure.setAttribute("aria-busy", "true");
    this.say("drawing …");
    this.waiting?.abort();  // whoever waits for an older one need not
    if (!this.working) this.work();
  }

  async work() {
    this.working = true;
    while (this.shown !== this.wanted) {
      const body = this.wanted;
      this.waiting = new AbortController();
      try {
        await this.make(body);
        this.shown = body;
        this.say("");
      } catch (error) {
        if (body !== this.wanted) continue;
        if (error.name !== "AbortError") this.say(error.message);
        this.shown = body;
      }
    }
    this.figure.setAttribute("aria-busy", "false");
    this.working = false;
  }

  async make(body) {
    const started = performance.now();
    const options = { method: "POST", body, headers: { "Content-Type": "application/json" } };
    let answer = await ask("/v1/previews", { ...options, signal: this.waiting.signal });
    const where = answer.headers.get("Location");
    while (answer.status === 202) {
      this.say("waiting for a worker …");
      await pause(600, this.waiting.signal);
      answer = await fetch(where, { signal: this.waiting.signal });
      if (answer.status === 404) answer = new Response(null, { status: 202 });
    }
    await answer.body?.cancel();
    const next = new Image();
    next.src = where;
    await next.decode();
    if (body !== this.wanted && !this.image.hidden && this.image.src) return;
    this.image.src = where;
    this.image.width = next.naturalWidth;
    this.image.height = next.naturalHeight;
    this.image.hidden = false;
    this.figure.dataset.took = Math.round(performance.now() - started);
  }

  say(text) {
    this.state.textContent = text;
    this.state.hidden = text === "";
  }
}
