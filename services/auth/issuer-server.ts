// The issuer's HTTP port: answers 503 until the provider has its keys, adds security headers, and shows the login page.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { errors, type Provider } from "oidc-provider";
import type { Logger } from "#chassis/log.ts";
import { networkAddress } from "#chassis/network-address.ts";
import { Refused } from "#chassis/refusal.ts";
import { traceparentFrom } from "#chassis/trace-context.ts";
import type { Accounts } from "./accounts.ts";
import { checkNewPassword, MIN_PASSWORD_LENGTH, type PasswordProblem } from "./domain/password.ts";
import { confirmPage, errorPage, expiredPage, loginPage, newPasswordPage, STYLE_HASH } from "./login-page.ts";
import type { LoginThrottle } from "./login-throttle.ts";
import { HasherBusy } from "./password-hash.ts";

export type IssuerServerDeps = {
  host: string;
  port: number;
  issuerUrl: string;
  accounts: Accounts;
  throttle: LoginThrottle;
  log: Logger;
};

export type IssuerServer = {
  /** From now on the provider answers. */
  serve: (provider: Provider) => void;
  close: () => Promise<void>;
};

const INTERACTION = /^\/interaction\/([\w-]{1,64})$/;
const FORM_BYTES = 8_192;
const CLOSE_GRACE_MS = 1_000;

export async function listenIssuer(deps: IssuerServerDeps): Promise<IssuerServer> {
  const { host, port, issuerUrl, log } = deps;
  const { host: publicHost, protocol } = new URL(issuerUrl);
  let provider: Provider | undefined;
  let answer: ReturnType<Provider["callback"]> | undefined;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    setSecurityHeaders(response);
    const path = request.url ?? "";
    // PostgreSQL stores no NUL, so no parameter may hold one.
    if (path.includes("%00")) return send(response, 400, errorPage());
    if (!provider || !answer) {
      response.setHeader("retry-after", "1");
      return sendJson(response, 503, { error: "temporarily_unavailable" });
    }
    const interaction = INTERACTION.exec(path);
    if (interaction) return await interact(deps, provider, request, response);
    // Links and redirects name the configured issuer, whatever a Host header or a proxy says.
    request.headers.host = publicHost;
    request.headers["x-forwarded-proto"] = protocol.slice(0, -1);
    delete request.headers["x-forwarded-host"];
    await answer(request, response);
  }

  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 15_000, maxHeaderSize: 16_384 },
    (request, response) => {
      handle(request, response).catch((cause) => {
        log.error({ err: cause }, "issuer failed");
        if (response.headersSent) response.destroy();
        else send(response, 500, errorPage());
      });
    },
  );
  server.maxConnections = 1_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });

  return {
    serve(made) {
      provider = made;
      answer = made.callback();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS).unref();
      }),
  };
}

/** One step of a sign-in: shows the form, or takes what was typed. */
async function interact(
  { accounts, throttle }: IssuerServerDeps,
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const details = await provider.interactionDetails(request, response).catch((cause) => {
    if (cause instanceof errors.SessionNotFound) return undefined;
    throw cause;
  });
  if (!details) return send(response, 400, expiredPage());
  const finish = (result: Record<string, unknown>, merge: boolean) =>
    provider.interactionFinished(request, response, result, { mergeWithLastSubmission: merge });
  const confirms = details.prompt.name !== "login";

  if (request.method === "GET") {
    if (!confirms) return send(response, 200, loginPage({}));
    const account = await accounts.find(details.session?.accountId ?? "");
    return send(response, 200, confirmPage({ username: account?.username ?? "" }));
  }
  if (request.method !== "POST") return send(response, 405, errorPage());
  const form = await readForm(request);
  if (!form) return send(response, 413, errorPage());
  if (form.get("action") === "batal") {
    return finish({ error: "access_denied", error_description: "sign-in was cancelled" }, false);
  }
  // An empty consent: what is granted to our own client is not up for choice.
  if (confirms) return finish({ consent: {} }, true);

  const username = (form.get("username") ?? "").trim();
  const password = form.get("password") ?? "";
  if (!username || !password || username.length > 64 || password.length > 256) {
    return send(response, 400, loginPage({ username, problem: "Isi nama pengguna dan kata sandi." }));
  }
  const attempt = { username, password, traceparent: traceparentFrom(header(request, "traceparent")) };
  let outcome: Outcome;
  try {
    outcome = await throttle.attempt(
      username,
      () => signIn(accounts, attempt, form),
      ({ kind }) => kind === "denied",
      networkAddress(request.socket.remoteAddress ?? ""),
    );
  } catch (cause) {
    const seconds = cause instanceof Refused ? (cause.refusal.retryAfterSeconds ?? 1) : 2;
    if (!(cause instanceof Refused || cause instanceof HasherBusy)) throw cause;
    response.setHeader("retry-after", String(seconds));
    const problem = `Terlalu banyak percobaan. Coba lagi dalam ${seconds} detik.`;
    return send(response, cause instanceof Refused ? 429 : 503, loginPage({ username, problem }));
  }
  switch (outcome.kind) {
    case "denied":
      return send(response, 401, loginPage({ username, problem: "Nama pengguna atau kata sandi salah." }));
    case "must_choose":
      return send(response, 200, newPasswordPage({ username }));
    case "chosen_badly":
      return send(response, 400, newPasswordPage({ username, problem: outcome.problem }));
    case "signed_in":
      // Offices share computers: the session ends with the browser.
      return finish({ login: { accountId: outcome.accountId, remember: false } }, false);
    default:
      return outcome satisfies never;
  }
}

type Outcome =
  | { kind: "denied" }
  | { kind: "signed_in"; accountId: string }
  /** With a password that an administrator set. */
  | { kind: "must_choose" }
  | { kind: "chosen_badly"; problem: string };

/** Checks what was typed; with the page for an expired password it also replaces it. */
async function signIn(
  accounts: Accounts,
  attempt: { username: string; password: string; traceparent: string },
  form: URLSearchParams,
): Promise<Outcome> {
  const account = await accounts.signIn({ ...attempt, via: "issuer/interaction" });
  if (!account) return { kind: "denied" };
  if (!account.isPasswordExpired) return { kind: "signed_in", accountId: account.id };
  const chosen = form.get("new_password");
  if (chosen === null) return { kind: "must_choose" };
  if (chosen !== form.get("new_password_again")) {
    return { kind: "chosen_badly", problem: "Kedua kata sandi baru tidak sama." };
  }
  const { username } = account;
  const problem = checkNewPassword({ password: chosen, username, before: attempt.password });
  if (problem) return { kind: "chosen_badly", problem: PASSWORD_PROBLEMS[problem] };
  const replaced = await accounts.replacePassword(account, chosen, attempt.traceparent);
  return replaced ? { kind: "signed_in", accountId: account.id } : { kind: "denied" };
}

const PASSWORD_PROBLEMS: Record<PasswordProblem, string> = {
  short: `Kata sandi baru terlalu pendek: paling sedikit ${MIN_PASSWORD_LENGTH} karakter.`,
  long: "Kata sandi baru terlalu panjang.",
  username: "Kata sandi baru tidak boleh sama dengan nama pengguna.",
  unchanged: "Kata sandi baru harus lain dari kata sandi dari administrator.",
  control_character: "Kata sandi baru berisi karakter yang tidak dapat dipakai.",
};

/** Undefined when it is larger than a login form can be. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > FORM_BYTES) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

function setSecurityHeaders(response: ServerResponse): void {
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("x-frame-options", "DENY");
  response.setHeader(
    "content-security-policy",
    // Browsers apply form-action to the redirects after a form, too: to the client's loopback callback.
    `default-src 'none'; style-src '${STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:* http://localhost:*`,
  );
}

function send(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
  response.end(html);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
