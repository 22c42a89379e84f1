// A real server for the tests: the binary that ROBIN_BIN names, with a data folder of its own.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const READY_MS = 120_000;
const DEMO_PRODUCTS = 3000;

/** start runs `robin serve` and waits until it answers (and with demo, until the whole catalogue is searchable). */
export async function start({ demo = false, addr = "127.0.0.1:0", data } = {}) {
  const bin = process.env.ROBIN_BIN;
  if (!bin) throw new Error("set ROBIN_BIN to the robin binary; `make test-web` does");
  const own = data ?? (await mkdtemp(join(tmpdir(), "robin-web-")));
  const child = spawn(bin, ["serve", ...(demo ? ["--demo"] : []), "--addr", addr, "--data", own], { stdio: ["ignore", "pipe", "pipe"] });
  const log = [];
  child.stderr.on("data", (b) => { log.push(String(b)); if (log.length > 200) log.shift(); });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address printed within ${READY_MS} ms\n${log.join("")}`)), READY_MS);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = line.match(/http:\/\/[^\s/]+/);
      if (found) { clearTimeout(timer); resolve(found[0]); }
    });
    exited.then((code) => { clearTimeout(timer); reject(new Error(`robin serve ended with ${code}\n${log.join("")}`)); });
  });
  const server = {
    url, data: own, addr: url.slice("http://".length),
    log: () => log.join(""),
    kill: async () => { child.kill("SIGKILL"); await exited; },
    stop: async () => {
      child.kill("SIGTERM");
      await Promise.race([exited, new Promise((r) => setTimeout(r, 15_000))]);
      child.kill("SIGKILL");
      await exited;
      if (data === undefined) await rm(own, { recursive: true, force: true });
    },
    api: (method, path, body, type = "application/json") => api(url, method, path, body, type),
  };
  await until(async () => (await fetch(url + "/readyz")).ok, "ready");
  if (demo) await until(async () => (await server.api("GET", "/collections/demo")).documents === DEMO_PRODUCTS, "the demo catalogue");
  return server;

  async function until(check, what) {
    const end = Date.now() + READY_MS;
    while (Date.now() < end) {
      if (await check().catch(() => false)) return;
      await new Promise((r) => setTimeout(r, 100));
    }
    child.kill("SIGKILL");
    throw new Error(`${what}: not there within ${READY_MS} ms\n${log.join("")}`);
  }
}

/** attach is start's result for a server that somebody else runs. */
export const attach = (url) => ({ url, stop: async () => {}, api: (method, path, body, type = "application/json") => api(url, method, path, body, type) });

async function api(url, method, path, body, type) {
  const res = await fetch(url + path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": type },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await res.text();
  if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${text}`);
  return text ? JSON.parse(text) : null;
}
