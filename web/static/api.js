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
