// The public API, as the page uses it. Every failure becomes an ApiError that says what a person can do.

const TIMEOUT_MS = 30_000;
const KEY_SLOT = "robin.key"; // the API key of a server that asks for one; forgotten with the tab

/** ApiError carries the problem document's parts. status 0: no answer came. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", fields = [], retryAfter = 0, requestId = "" } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.fields = fields; // [{pointer, detail}]
    this.retryAfter = retryAfter; // seconds, 0 when not said
    this.requestId = requestId;
  }

  get offline() { return this.status === 0; }
  get busy() { return this.status === 429 || this.status === 503; }
}

export function setKey(key) { sessionStorage.setItem(KEY_SLOT, key); }

/** headers gives what every request carries. */
export function headers(extra = {}) {
  const key = sessionStorage.getItem(KEY_SLOT);
  return { Accept: "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}), ...extra };
}

/** problem reads an error answer. Proxies in between may answer with anything, so no shape is trusted. */
export function problem(status, text, retryAfter, requestId) {
  let doc = {};
  try { doc = JSON.parse(text) ?? {}; } catch { /* not from Robin */ }
  if (typeof doc !== "object") doc = {};
  const fields = Array.isArray(doc.errors)
    ? doc.errors.map((e) => ({ pointer: String(e?.pointer ?? ""), detail: String(e?.detail ?? "") }))
    : [];
  const message = doc.detail ?? doc.title ?? doc.error?.message ?? `The server answered ${status}.`;
  return new ApiError(String(message), {
    status,
    code: String(doc.code ?? ""),
    fields,
    retryAfter: Math.max(0, Number.parseFloat(retryAfter) || 0),
    requestId: String(doc.request_id ?? requestId ?? ""),
  });
}

export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");

/** call sends one request and gives the decoded answer. An aborted call throws the AbortError unchanged. */
export async function call(method, url, { body, signal } = {}) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let answer, text;
  try {
    answer = await fetch(url, {
      method,
      headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    text = await answer.text();
  } catch (err) {
    if (signal?.aborted) throw err;
    if (limit.aborted) throw new ApiError(`No answer within ${TIMEOUT_MS / 1000} seconds.`);
    throw new ApiError("Robin does not answer. It may have been stopped, or the network is down.");
  }
  if (!answer.ok) {
    throw problem(answer.status, text, answer.headers.get("Retry-After"), answer.headers.get("X-Request-ID"));
  }
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("The answer is not JSON: something between this page and Robin may have changed it.", { status: answer.status });
  }
}

export const aborted = (err) => err?.name === "AbortError";

export const collections = (o) => call("GET", "/collections", o).then((a) => a?.collections ?? []);
export const collection = (name, o) => call("GET", path("collections", name), o);
export const document_ = (name, id, o) => call("GET", path("collections", name, "documents", id), o);
export const search = (name, body, o) => call("POST", path("collections", name, "search"), { ...o, body });
export const similar = (name, body, o) => call("POST", path("collections", name, "similar"), { ...o, body });
export const task = (id, o) => call("GET", path("tasks", id), o);
export const cancelTask = (id, o) => call("POST", path("tasks", id, "cancel"), { ...o, body: {} });
export const version = (o) => call("GET", "/version", o);

const duplicates = (name, ...parts) => path("collections", name, "duplicates", ...parts);
export const tasks = (query, o) => call("GET", `/tasks?${new URLSearchParams(query)}`, o).then((a) => a?.tasks ?? []);
export const findDuplicates = (name, body, o) => call("POST", duplicates(name), { ...o, body }).then((a) => a.task);
export const duplicateReports = (name, o) => call("GET", duplicates(name), o).then((a) => a?.reports ?? []);
export const cutDuplicates = (name, task, query, o) => call("GET", `${duplicates(name, task)}?${new URLSearchParams(query)}`, o);
export const applyDuplicates = (name, task, body, o) => call("POST", duplicates(name, task, "apply"), { ...o, body });
export const duplicateActions = (name, o) => call("GET", duplicates(name, "actions"), o).then((a) => a?.actions ?? []);
export const undoDuplicates = (name, id, o) => call("POST", duplicates(name, "actions", id, "undo"), { ...o, body: {} });
export const labels = (name, o) => call("GET", duplicates(name, "labels"), o);
export const label = (name, list, o) => call("POST", duplicates(name, "labels"), { ...o, body: { labels: list } });
export const learn = (name, body, o) => call("POST", duplicates(name, "learn"), { ...o, body });
export const duplicatesFile = (name, task, query) => file(`${duplicates(name, task)}?${new URLSearchParams(query)}`);
export const failedRows = (id) => file(path("tasks", id, "failed"));

/** file asks for an answer that is a file, with the name that the server gives it. */
async function file(url) {
  let answer;
  try {
    answer = await fetch(url, { headers: headers({ Accept: "*/*" }) });
    if (answer.ok) return { blob: await answer.blob(), name: answer.headers.get("Content-Disposition")?.match(/filename="([^"\\/]+)"/)?.[1] ?? "" };
  } catch {
    throw new ApiError("Robin does not answer. It may have been stopped, or the network is down.");
  }
  throw problem(answer.status, await answer.text(), answer.headers.get("Retry-After"), answer.headers.get("X-Request-ID"));
}
