// Who is calling: the claims of the verified token, and where handlers find them.
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { refuse } from "./refusal.ts";

/**
 * Metadata by which the gateway tells a sign-in which network address it came from. It sets it itself and drops what a caller
 * sends; who calls a service directly can write what it likes there, so that nothing but a tighter limit may hang on it.
 */
export const clientAddressHeader = "x-lampid-client-address";

/** Header by which a caller says what for personal data is read or changed; the audit keeps it. */
export const purposeHeader = "x-purpose";

const PURPOSE_MAX = 200;

export type Caller = {
  /** Claim "sub": stable account id, safe to log. */
  subject: string;
  username: string;
  role: string;
  /** Wilayah code the account is good for; "ID" is the nation, "" is nowhere. */
  wilayah: string;
  scopes: readonly string[];
  /** When the token was issued (claim "iat"). Without it the token is older than any change of its account. */
  issuedAtSeconds?: number;
};

export const anonymous: Caller = { subject: "", username: "", role: "", wilayah: "", scopes: [] };

export const callerKey = createContextKey<Caller>(anonymous, { description: "caller" });

/** Asks the policy whether the caller may act on `wilayah`; set by the authorize interceptor. */
export const authorizerKey = createContextKey<(wilayah: string) => void>(
  () => {
    throw refuse("forbidden", "NO_POLICY", "this call was not authorised");
  },
  { description: "authorizer" },
);

/** W3C trace context of this call, e.g. "00-<trace id>-<span id>-01"; never empty inside a handler. */
export const traceparentKey = createContextKey<string>("", { description: "traceparent" });

export function callerOf(ctx: HandlerContext): Caller {
  return ctx.values.get(callerKey);
}

/**
 * Throws PERMISSION_DENIED unless the policy lets the caller act on a resource of this wilayah. Every handler of a
 * method that the policy marks as scoped must call it before it reads or writes.
 */
export function requireWilayah(ctx: HandlerContext, wilayah: string): void {
  ctx.values.get(authorizerKey)(wilayah);
}

/** The acting account, its trace and its purpose, as events and audit rows record them. */
export type Actor = { subject: string; role: string; traceparent: string; keperluan?: string };

export function actorOf(ctx: HandlerContext): Actor {
  const caller = callerOf(ctx);
  return {
    subject: caller.subject,
    role: caller.role,
    traceparent: ctx.values.get(traceparentKey),
    keperluan: ctx.requestHeader.get(purposeHeader)?.slice(0, PURPOSE_MAX) ?? "",
  };
}
