// A bar with words beneath it: how far a task is, how fast, how long it will take, and a button that stops it.

import { h } from "./dom.js";
import { bytes, count, plural, seconds } from "./format.js";

/** createProgress gives {node, sent, task, say, stopping}. stop() is called once, when a person stops it. */
export function createProgress({ noun = "document", reading = "Robin is reading it…", stop }) {
  const bar = h("progress", { max: "1", "aria-label": "Progress" });
  const line = h("p", { class: "progress-line", role: "status" }, "Sending…");
  const extra = h("p", { class: "aside" });
  let stopped = false;
  const button = h("button", { type: "button", class: "button", on: { click: () => {
    stopped = button.disabled = true;
    line.textContent = "Stopping…";
    stop();
  } } }, "Stop");
  const say = (text) => { if (!stopped) line.textContent = text; };
  const share = (part, whole) => {
    if (whole > 0) bar.value = Math.min(1, part / whole);
    else bar.removeAttribute("value");
  };

  function sent(part, whole) {
    share(part, whole);
    say(part < whole ? `Sent ${bytes(part)} of ${bytes(whole)}` : "Sent. " + reading);
  }

  function task({ progress: p = {} }) {
    share(p.done, p.total);
    say(p.total > 0 ? `${count(p.done)} of ${plural(p.total, noun)}` : p.done > 0 ? `${plural(p.done, noun)} so far` : reading);
    extra.textContent = [p.per_s > 0 && `${count(Math.round(p.per_s))} per second`, p.eta_s > 0 && `about ${seconds(p.eta_s)} left`, p.failed > 0 && `${count(p.failed)} not taken`].filter(Boolean).join(" · ");
  }

  return {
    node: h("div", { class: "progress" }, bar, line, extra, h("div", { class: "dialog-foot" }, button)),
    sent, task, say, stopped: () => stopped, lost: () => say("The connection is gone; looking again…"),
  };
}
