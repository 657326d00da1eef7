// One dataset, live: the service says by events that something has changed; the page's part is asked for anew.

import { ask, replace } from "./service.js";

let busy = false, again = false;

async function show() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    do {
      again = false;
      const part = replace(await (await ask(location.href)).text());
      // It is over: the page has more to show now than this part.
      if (!part || part.dataset.final === "1") { location.reload(); return; }
    } while (again);
  } catch (error) {
    if (error.status === 404) location.reload();  // deleted: the page says so
  } finally {
    busy = false;
  }
}

const live = document.getElementById("live");
if (live?.dataset.final === "0") {
  const events = new EventSource(live.dataset.events);
  events.addEventListener("progress", show);
  events.addEventListener("end", () => { events.close(); show(); });
  // It connects again by itself, unless it was refused: then the session has ended, and asking says so.
  events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) show(); });
}
