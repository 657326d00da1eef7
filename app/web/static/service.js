// Asking the service: adds the session's secret, waits while the service is away, and has one sign in again
// where the session has ended, without losing the page.

export const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

export class Refused extends Error {
  constructor(status, body) {
    super(body?.detail ?? `the service answered ${status}`);
    this.status = status;
  }
}

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

const away = (is) => {
  const said = document.getElementById("away");
  if (said) said.hidden = !is;
};

// One question. Options as for fetch; `patient: false` gives up at once where the service is away.
export async function ask(path, options = {}) {
  const { patient = true, ...given } = options;
  for (let wait = 1000; ; wait = Math.min(wait * 1.6, 15000)) {
    let answer;
    try {
      answer = await fetch(path, {
        ...given, redirect: "manual", credentials: "same-origin",
        headers: { "X-Fragment": "1", Accept: "*/*", "X-Facsimile-CSRF": csrf(), ...given.headers },
      });
    } catch (error) {
      if (given.signal?.aborted || !patient) throw error;
      away(true);
      await pause(wait, given.signal);
      continue;
    }
    if ([502, 503, 504].includes(answer.status) && patient) {
      away(true);
      await pause(1000 * Number(answer.headers.get("Retry-After")) || wait, given.signal);
      continue;
    }
    away(false);
    // Pages send who is not signed in to /signin; the API says 401.
    if (answer.status === 401 || answer.type === "opaqueredirect") {
      await signInAgain();
      continue;
    }
    if (!answer.ok) {
      const json = answer.headers.get("Content-Type")?.includes("json");
      throw new Refused(answer.status, json ? await answer.json() : null);
    }
    return answer;
  }
}

let signingIn = null;

function signInAgain() {
  signingIn ??= new Promise((resolve, reject) => {
    const dialog = document.getElementById("signin-again");
    if (!dialog) { location.reload(); return; }
    const form = dialog.querySelector("form"), said = dialog.querySelector("[data-refused]");
    const submit = async (event) => {
      if (event.submitter?.value === "no") { finish(); reject(new Refused(401, { detail: "not signed in" })); return; }
      event.preventDefault();
      const key = new FormData(form).get("key");
      const answer = await fetch("/signin", {
        method: "POST", headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ key }),
      }).catch(() => null);
      if (answer?.ok) {
        const secret = (await answer.json()).csrf;
        document.querySelector('meta[name="csrf"]').content = secret;
        document.querySelectorAll('input[name="csrf"]').forEach((input) => { input.value = secret; });
        finish();
        resolve();
      } else {
        said.textContent = answer ? (await answer.json()).detail : "The service does not answer just now.";
      }
    };
    const finish = () => { form.removeEventListener("submit", submit); form.reset(); said.textContent = ""; dialog.close(); signingIn = null; };
    form.addEventListener("submit", submit);
    dialog.addEventListener("cancel", () => { finish(); reject(new Refused(401, { detail: "not signed in" })); }, { once: true });
    dialog.showModal();
  });
  return signingIn;
}

// Put a part of a page, as the server rendered it, in the place of the one that has its id.
export function replace(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  const old = parsed && document.getElementById(parsed.id);
  if (!old) return null;
  // What is open stays open, and who is in it stays there.
  old.querySelectorAll("details[open] > summary").forEach((summary) => {
    const same = [...parsed.querySelectorAll("details > summary")].find((one) => one.textContent === summary.textContent);
    if (same) same.parentElement.open = true;
  });
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const at = focused && [...old.querySelectorAll("a, button, input, summary, [tabindex]")].indexOf(focused);
  old.replaceWith(parsed);
  if (focused) parsed.querySelectorAll("a, button, input, summary, [tabindex]")[at]?.focus({ preventScroll: true });
  return parsed;
}

export { pause };
