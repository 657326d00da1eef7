// What every page has: the switch of colours, copying, lists that refresh, downloads that wait, pages that try again.

import { ask, pause, replace } from "./service.js";

document.documentElement.dataset.script = "on";

document.querySelector("[data-theme-switch]")?.addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* kept for this page only */ }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const text = button.closest(".copy").querySelector("pre").textContent;
    await navigator.clipboard.writeText(text).then(() => { button.textContent = "Copied"; }, () => {
      const range = document.createRange();
      range.selectNodeContents(button.closest(".copy").querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    });
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
    return;
  }
  const link = event.target.closest("[data-download]");
  if (link) {
    event.preventDefault();
    const was = link.textContent;
    link.setAttribute("aria-busy", "true");
    link.textContent = "Is being made …";
    try {
      // HEAD answers 202 while a layout is being made.
      while ((await ask(link.href, { method: "HEAD" })).status === 202) await pause(2000);
      location.href = link.href;
    } catch (error) {
      link.closest("tr, li")?.classList.add("bad");
      link.title = error.message;
      link.insertAdjacentText("afterend", ` ${error.message === "the service answered 409" ? "This set cannot be had so." : error.message}`);
    }
    link.textContent = was;
    link.removeAttribute("aria-busy");
  }
});

// An alert that came with the page is read out only if it is focused.
document.querySelector("[role=alert][autofocus]")?.focus();

// Fields that name a set: what they offer follows what is typed, however many sets there are.
for (const field of document.querySelectorAll("input[data-suggest]")) {
  let timer, asking;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      asking?.abort();
      asking = new AbortController();
      const wanted = new URLSearchParams({ q: field.value, list: field.getAttribute("list"), only: field.dataset.suggest });
      await ask(`/sets/known?${wanted}`, { signal: asking.signal }).then(async (answer) => replace(await answer.text()), () => {});
    }, 200);
  });
}

async function refresh(part) {
  for (let shown = part; shown?.dataset.refresh;) {
    await pause(1000 * Number(shown.dataset.refresh));
    if (document.hidden) continue;
    shown = replace(await (await ask(location.href)).text()) ?? shown;
  }
  if (part.dataset.then === "reload") location.reload();
}
for (const part of document.querySelectorAll("[data-refresh]")) refresh(part).catch(() => {});

const retry = document.querySelector("[data-retry]");
if (retry) {
  (async () => {
    for (;;) {
      await pause(1000 * Number(retry.dataset.retry));
      const answer = await fetch(retry.dataset.again, { redirect: "follow" }).catch(() => null);
      if (answer && answer.status !== 503) { location.replace(retry.dataset.again); return; }
    }
  })();
}
