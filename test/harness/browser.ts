// A real browser for tests that watches what pages do: every request off this machine, refused request and error is noted.
import { type Browser, chromium, type Page } from "playwright-core";
import { findChromium } from "./chromium.ts";

export type WatchedBrowser = {
  /**
   * A page of a profile of its own. `problems` grows with what it should not have done. `html` is what is at the URL, for
   * pages of an origin that nobody serves, such as `http://mitra.localhost`.
   */
  open: (url: string, html?: string) => Promise<{ page: Page; problems: string[] }>;
  close: () => Promise<void>;
};

const TIMEOUT_MS = 20_000;

/** Why tests with a browser cannot run here, or false. */
export const browserMissing = () => findChromium().skip;

export async function startBrowser(): Promise<WatchedBrowser> {
  const { path, env } = findChromium();
  const browser: Browser = await chromium.launch({
    executablePath: path,
    env: { ...process.env, ...env } as Record<string, string>,
    args: [
      // What is not on this machine is not found: a request that slips past the watch below fails all the same.
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ],
  });
  return {
    async open(url, html) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
      context.setDefaultTimeout(TIMEOUT_MS);
      const page = await context.newPage();
      const problems: string[] = [];
      context.on("request", (request) => {
        if (!isHere(request.url())) problems.push(`request to ${request.url()}`);
      });
      context.on("requestfailed", (request) => {
        problems.push(`${request.url()} failed: ${request.failure()?.errorText}`);
      });
      page.on("websocket", (socket) => {
        if (!isHere(socket.url())) problems.push(`socket to ${socket.url()}`);
      });
      // Violations of the Content-Security-Policy are errors of the console, too.
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(`console: ${message.text()}`);
      });
      page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
      if (html !== undefined) {
        const origin = new URL(url).origin;
        // It did not come from this machine, so that Chromium would ask the person before it may call this machine.
        await context.grantPermissions(["local-network-access"], { origin });
        await context.route(`${origin}/**`, (route) =>
          route.fulfill({ contentType: "text/html; charset=utf-8", body: html }),
        );
      }
      await page.goto(url);
      return { page, problems };
    },
    close: () => browser.close(),
  };
}

/** What a page makes itself (data:, blob:) goes nowhere. */
function isHere(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return ["data:", "blob:"].includes(protocol) || /^127\.0\.0\.1$|(^|\.)localhost$/.test(hostname);
}
