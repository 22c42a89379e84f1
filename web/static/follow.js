// Watching a task until it ends: its events as they come, or by asking again where a stream does not get through.

import * as api from "./api.js";

const POLL_MS = 300;
const QUIET_MS = 20_000; // the server says something at least every 15 seconds
const FIRST_MS = 3000; // its first event comes at once; a proxy that holds it back holds all
const LOST_LOOKS = 20; // failed looks in a row before the page gives up
const LOST_MS = 1000;

export const ended = (task) => ["succeeded", "failed", "canceled"].includes(task?.status);

/** createEvents gives a function that takes a stream's text piece by piece, and calls on(data) for each event. */
export function createEvents(on) {
  let rest = "";
  return (piece) => {
    const events = (rest + piece).replaceAll("\r\n", "\n").split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((l) => l.startsWith("data:")).map((l) => l.slice(5).replace(/^ /, "")).join("\n");
      if (data) on(data);
    }
  };
}

// stream calls on for each event, and gives the last task that it heard of. EventSource would not send the API key.
async function stream(id, on) {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), FIRST_MS);
  let last = null;
  try {
    const answer = await fetch(api.path("tasks", id, "events"), { headers: api.headers({ Accept: "text/event-stream" }), signal: quiet.signal });
    if (!answer.ok || !answer.body) return null;
    const take = createEvents((data) => on((last = JSON.parse(data))));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done;) {
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), QUIET_MS);
      take(part.value);
    }
  } catch { /* broken off: asking goes on */
  } finally {
    clearTimeout(timer);
  }
  return last;
}

/** follow gives the task when it has ended. on(task) hears of its progress, lost() of a connection that is gone. */
export async function follow(id, { on, lost = () => {} }) {
  const heard = (task) => { if (!ended(task)) on(task); };
  const last = await stream(id, heard);
  if (ended(last)) return last;
  for (let misses = 0; ;) {
    let wait = POLL_MS;
    try {
      const task = await api.task(id);
      misses = 0;
      if (ended(task)) return task;
      on(task);
    } catch (err) {
      if (!(err.offline || err.busy) || ++misses > LOST_LOOKS) throw err;
      lost();
      wait = LOST_MS;
    }
    await new Promise((r) => setTimeout(r, wait));
  }
}
