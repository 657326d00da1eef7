// Previews: one wish at a time for each picture, the latest next, and what lies between is left out. A sheet is asked
// for row by row, all rows at once: several workers draw at the same time, and one sees the first while others come.

import { ask } from "./service.js";

export class Preview {
  constructor(figure) {
    this.figure = figure;
    this.rows = [...figure.querySelectorAll("img")];
    this.state = figure.querySelector("[data-state]");
    this.shown = this.wanted = "";
    this.working = false;
  }

  // `body` is the JSON of a preview request.
  show(body) {
    if (!body || body === this.wanted) return;
    this.wanted = body;
    this.figure.hidden = false;
    this.figure.setAttribute("aria-busy", "true");
    this.say("drawing …");
    this.waiting?.abort();  // so the service need not draw what nobody waits for
    if (!this.working) this.work();
  }

  async work() {
    this.working = true;
    while (this.shown !== this.wanted) {
      const body = this.wanted;
      this.waiting = new AbortController();
      const { signal } = this.waiting;
      this.began = performance.now();
      this.figure.dataset.first = this.figure.dataset.took = "";
      this.rows.forEach((image) => image.setAttribute("aria-busy", "true"));
      try {
        await Promise.all(this.rows.map((image, row) => this.draw(image, { ...JSON.parse(body), row }, signal)));
        this.figure.dataset.took = this.since();
        this.shown = body;
        this.say("");
      } catch (error) {
        this.waiting.abort();
        if (body !== this.wanted) continue;
        this.say(error.message);
        this.shown = body;
      }
    }
    this.figure.setAttribute("aria-busy", "false");
    this.working = false;
  }

  async draw(image, wish, signal) {
    const options = { method: "POST", body: JSON.stringify(wish), headers: { "Content-Type": "application/json" }, signal };
    // 202 says that it takes longer: to ask again is to go on waiting.
    let answer;
    while ((answer = await ask("/v1/previews", options)).status === 202) {
      await answer.body?.cancel();
      this.say("waiting for a worker …");
    }
    const where = answer.headers.get("Location");
    await answer.body?.cancel();
    const next = new Image();
    next.src = where;
    await next.decode();
    signal.throwIfAborted();
    image.src = where;
    image.width = next.naturalWidth;
    image.height = next.naturalHeight;
    image.hidden = false;
    image.removeAttribute("aria-busy");
    this.figure.dataset.first ||= this.since();
  }

  since() {
    return Math.round(performance.now() - this.began);
  }

  say(text) {
    this.state.textContent = text;
    this.state.hidden = text === "";
  }
}
