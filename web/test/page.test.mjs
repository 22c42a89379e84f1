// The page in real Chromium against a real server. One server with the demo catalogue and one browser serve all suites.
// ROBIN_URL tests a server that runs already; the suites that need to stop one still need ROBIN_BIN.

import { after, before, describe } from "node:test";
import { launch } from "./browser.mjs";
import { attach, start } from "./server.mjs";
import duplicates from "./duplicates.suite.mjs";
import errors from "./errors.suite.mjs";
import filters from "./filters.suite.mjs";
import hostile from "./hostile.suite.mjs";
import imports from "./import.suite.mjs";
import keyboard from "./keyboard.suite.mjs";
import look from "./look.suite.mjs";
import search from "./search.suite.mjs";

const ctx = { browser: null, server: null, url: "" };

before(async () => {
  ctx.browser = await launch();
  ctx.server = process.env.ROBIN_URL ? attach(process.env.ROBIN_URL) : await start({ demo: true });
  ctx.url = ctx.server.url;
}, { timeout: 150_000 });

after(async () => {
  await ctx.browser?.close();
  await ctx.server?.stop();
});

for (const [name, suite] of Object.entries({ search, filters, imports, duplicates, keyboard, errors, look, hostile })) {
  describe(name, { concurrency: 1, timeout: 900_000 }, () => suite(ctx));
}
