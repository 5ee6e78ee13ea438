// Requests to an issuer's token endpoint (RFC 6749 3.2), the embedded issuer's or Keycloak's alike.

/** The client we ask as; without a secret it is a public one. */
export type IssuerClient = { id: string; secret?: string | undefined };

export type TokenEndpoint = {
  /** Rejects while nobody knows it. */
  tokenUrl: () => Promise<string>;
  /** Undefined while the embedded issuer is starting. */
  client: () => IssuerClient | undefined;
  /** Longest wait for an answer. Default 3,000. */
  timeoutMs?: number;
};

/** A request to a token endpoint; whatever the issuer answers in JSON is an answer. */
export async function postToken(
  { tokenUrl, timeoutMs = 3_000 }: Pick<TokenEndpoint, "tokenUrl" | "timeoutMs">,
  client: IssuerClient,
  fields: Record<string, string>,
  more: { headers?: Record<string, string>; signal?: AbortSignal | undefined } = {},
): Promise<{ status: number; answer: Record<string, unknown> }> {
  const form = new URLSearchParams(fields);
  const headers: Record<string, string> = { accept: "application/json", ...more.headers };
  const timeout = AbortSignal.timeout(timeoutMs);
  if (client.secret === undefined) form.set("client_id", client.id);
  else headers.authorization = `Basic ${btoa(`${formEncoded(client.id)}:${formEncoded(client.secret)}`)}`;
  const response = await fetch(await tokenUrl(), {
    method: "POST",
    body: form,
    headers,
    // A password must not follow a redirect to somewhere else.
    redirect: "error",
    signal: more.signal ? AbortSignal.any([more.signal, timeout]) : timeout,
  });
  const answer = (await response.json()) as Record<string, unknown> | null;
  return { status: response.status, answer: answer ?? {} };
}

/** RFC 6749 2.3.1: id and secret are form-encoded before they are joined. */
function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
