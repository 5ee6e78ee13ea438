// The developer portal in a real browser, which must find everything it needs at the gateway.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { browserMissing, startBrowser, type WatchedBrowser } from "../harness/browser.ts";
import { type RunningMesh, useMesh } from "../harness/mesh.ts";
import { login } from "../harness/rest.ts";

describe("the developer portal", { skip: browserMissing() }, () => {
  let mesh: RunningMesh;
  let browser: WatchedBrowser;

  before(async () => {
    mesh = await useMesh();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await mesh?.stop();
  });

  async function openPortal() {
    const opened = await browser.open(`${mesh.urls.gateway}/docs`);
    const { page } = opened;
    const getMe = page.locator("#operations-AuthService-AuthService_GetMe_2");
    await getMe.waitFor();
    /** Calls GET /v1/auth/me by its form, and gives the status and the body that the page shows. */
    const callGetMe = async () => {
      if (!(await page.locator("button.execute").isVisible())) {
        await getMe.locator(".opblock-summary-control").click();
      }
      const answered = page.waitForResponse((response) => response.url().endsWith("/v1/auth/me"));
      await getMe.locator("button.execute").click();
      const status = (await answered).status();
      const shown = getMe.locator(".live-responses-table .response").filter({ hasText: String(status) });
      await shown.waitFor();
      return { status, text: await shown.textContent() };
    };
    return { ...opened, callGetMe };
  }

  test("it shows the operations of every service, and asks nobody outside for anything", async () => {
    const { page, problems } = await openPortal();
    const document = await (await fetch(`${mesh.urls.gateway}/openapi.json`)).json();
    const { paths, tags } = document as { paths: Record<string, object>; tags: { name: string }[] };
    const operations = Object.values(paths).flatMap((item) => Object.keys(item));
    assert.equal(await page.locator(".opblock").count(), operations.length);
    for (const { name } of tags) assert.ok(await page.locator(`#operations-tag-${name}`).isVisible(), name);
    assert.deepEqual(problems, []);
  });

  test("a call with a token from the Authorize dialog answers 200", async () => {
    const { page, problems, callGetMe } = await openPortal();
    await page.locator(".btn.authorize").first().click();
    await page.locator(".auth-container input").fill(await login(mesh.urls.gateway!, "operator"));
    await page.locator(".auth-btn-wrapper .authorize").click();
    await page.locator(".auth-btn-wrapper .btn-done").click();
    const { status, text } = await callGetMe();
    assert.equal(status, 200);
    assert.match(text ?? "", /"username": "operator"/);
    assert.deepEqual(problems, []);
  });

  test("who signs in with a demo account at the top needs no dialog", async () => {
    const { page, problems, callGetMe } = await openPortal();
    await page.fill('input[name="username"]', "pusat");
    await page.fill('input[name="password"]', process.env.LAMPID_DEMO_PASSWORD || "rahasia");
    await page.locator("#sign-in button").click();
    await page.locator("#signed-in", { hasText: "calls are made as pusat" }).waitFor();
    assert.equal(await page.inputValue('input[name="password"]'), "");
    const { status, text } = await callGetMe();
    assert.equal(status, 200);
    assert.match(text ?? "", /"username": "pusat"/);
    if (process.env.LAMPID_TEST_SCREENSHOT)
      await page.screenshot({ path: process.env.LAMPID_TEST_SCREENSHOT });
    assert.deepEqual(problems, []);
  });

  test("a call without a token shows the refusal", async () => {
    const { problems, callGetMe } = await openPortal();
    const { status, text } = await callGetMe();
    assert.equal(status, 401);
    assert.match(text ?? "", /google\.rpc\.ErrorInfo/);
    // The browser itself writes a line about an answer of 400 or more; nothing else may be there.
    assert.deepEqual(
      problems.filter((problem) => !/status of 401/.test(problem)),
      [],
    );
  });
});
