// As little of a browser as a sign-in takes: cookies by path, redirects by hand; and the client's part of the code flow.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";

export type Page = { status: number; location: string; headers: Headers; html: string };

export type Browser = (target: string, form?: Record<string, string>) => Promise<Page>;

/** A browser with an empty cookie jar; with a form it posts. */
export function openBrowser(baseUrl: string): Browser {
  const jar = new Map<string, { value: string; path: string }>();
  return async (target, form) => {
    const url = new URL(target, baseUrl);
    const cookie = [...jar]
      .filter(([, { path }]) => url.pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join("; ");
    const response = await fetch(url, {
      redirect: "manual",
      headers: { cookie, accept: "text/html" },
      ...(form ? { method: "POST", body: new URLSearchParams(form) } : {}),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      const path = /path=([^;]+)/i.exec(line)?.[1] ?? "/";
      if (value && !/max-age=0/i.test(line)) jar.set(name!, { value, path });
      else jar.delete(name!);
    }
    return {
      status: response.status,
      location: response.headers.get("location") ?? "",
      headers: response.headers,
      html: await response.text(),
    };
  };
}

export const REDIRECT_URI = "http://127.0.0.1:51789/callback";

export function newVerifier(): string {
  return randomBytes(32).toString("base64url");
}

/** The query of an authorization request of lampid-web with PKCE; an empty value leaves its parameter out. */
export function authorizationQuery(verifier: string, more: Record<string, string> = {}): URLSearchParams {
  const parameters = {
    client_id: "lampid-web",
    response_type: "code",
    redirect_uri: REDIRECT_URI,
    scope: "openid lampid",
    state: "keadaan",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    ...more,
  };
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== ""));
}

/** A request to a token endpoint, as an application makes it. */
export async function askToken(
  tokenUrl: string,
  form: Record<string, string>,
): Promise<{ status: number; body: Record<string, string> }> {
  const response = await fetch(tokenUrl, { method: "POST", body: new URLSearchParams(form) });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
}

/** Exchanges a code with its verifier, as lampid-web. */
export function redeemCode(tokenUrl: string, code: string, verifier: string) {
  return askToken(tokenUrl, {
    grant_type: "authorization_code",
    client_id: "lampid-web",
    redirect_uri: REDIRECT_URI,
    code,
    code_verifier: verifier,
  });
}

/** Where the form of a page goes. */
export function formAction({ html, status }: Page): string {
  const [, action] = /<form[^>]*\saction="([^"]+)"/.exec(html) ?? [];
  assert.ok(action, `no form on the page (HTTP ${status}): ${html.slice(0, 2_000)}`);
  return action.replaceAll("&amp;", "&");
}
