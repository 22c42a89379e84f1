// Chromium, and pages that report whatever a healthy page never does: an uncaught error, a dialog, a CSP violation.

import { access } from "node:fs/promises";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch() {
  for (const executablePath of PLACES.filter(Boolean)) {
    if (!(await access(executablePath).then(() => true, () => false))) continue;
    return chromium.launch({ executablePath, args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-gpu", "--disable-dev-shm-usage"] });
  }
  throw new Error("no Chromium found: on Debian, apt-get install chromium; elsewhere set CHROMIUM to its path");
}

// Pages of the same options share a context, so that the page's files are loaded once; alone keeps one apart.
const contexts = new Map();

async function contextFor(browser, { alone, ...options }) {
  const key = JSON.stringify([alone, options]);
  if (!contexts.has(key)) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await context.addInitScript(() => {
      window.__violations = [];
      addEventListener("securitypolicyviolation", (e) => window.__violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    });
    contexts.set(key, context);
  }
  return contexts.get(key);
}

/** open gives a page. page.wrong lists what went wrong in it. */
export async function open(browser, url, options = {}) {
  const page = await (await contextFor(browser, options)).newPage();
  page.setDefaultTimeout(30_000);
  page.wrong = [];
  page.on("pageerror", (err) => page.wrong.push(`error: ${err.message}`));
  page.on("dialog", (d) => { page.wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
  page.on("popup", (p) => page.wrong.push(`popup: ${p.url()}`));
  page.on("console", (m) => { if (/Content Security Policy|TrustedHTML|TrustedScript/i.test(m.text())) page.wrong.push(`csp: ${m.text()}`); });
  if (url) await page.goto(url);
  return page;
}

/** settled waits until the page's hits are the answer to its present state. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("#hits").getAttribute("aria-busy") === "false"
    && (document.querySelector(".hit") || document.querySelector(".notice")));
}

/** ask types a query and waits for its hits. */
export async function ask(page, q) {
  const answer = page.waitForResponse((r) => r.url().endsWith("/search") && r.request().postDataJSON()?.q === q);
  await page.fill("#q", q);
  await answer;
  await settled(page);
}

/** after runs act and waits for the search that it causes. */
export async function after(page, act, route = "/search") {
  const answer = page.waitForResponse((r) => r.url().endsWith(route));
  await act();
  await answer;
  await settled(page);
}

export const ids = (page) => page.$$eval(".hit", (all) => all.map((el) => el.dataset.id));
export const titles = (page) => page.$$eval(".hit h2", (all) => all.map((el) => el.textContent));
export const prices = (page) => page.$$eval(".hit .price", (all) => all.map((el) => Number(el.textContent.replace(/[^0-9.]/g, ""))));

/** total reads the count above the hits. */
export async function total(page) {
  const text = await page.textContent("#count");
  if (text === "No results") return 0;
  return Number(text.match(/([\d,]+) (?:result|candidate|document)/)[1].replaceAll(",", ""));
}

/** healthy fails when the page did anything that it never should, and closes it. */
export async function healthy(page) {
  const wrong = [...page.wrong, ...(await page.evaluate(() => [...(window.__violations ?? []), ...(window.__xss ? [`ran: ${window.__xss}`] : [])]))];
  await page.close();
  if (wrong.length) throw new Error("the page misbehaved:\n" + wrong.join("\n"));
}
