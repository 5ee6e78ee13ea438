// SMS by Twilio.
import type { Channel } from "./channel.ts";

export type SmsOptions = {
  accountSid: string;
  authToken: string;
  from: string;
  /** The officer on duty. */
  to: string;
  /** Region or test server: replaces https://api.twilio.com. */
  baseUrl?: string;
  /** Longest wait for the answer, milliseconds. Default 10,000. */
  timeoutMs?: number;
};

const TIMEOUT_MS = 10_000;

export async function smsChannel(options: SmsOptions): Promise<Channel> {
  const { accountSid, authToken, from, baseUrl, timeoutMs = TIMEOUT_MS } = options;
  // Loaded on demand: it takes some 40 MiB that a process without SMS need not have.
  const { default: twilio } = await import("twilio");
  const client = twilio(accountSid, authToken, { timeout: timeoutMs, autoRetry: false });
  if (baseUrl) client.api.baseUrl = baseUrl;
  return {
    concurrency: 10,
    async send({ isi }, to = options.to) {
      await client.messages.create({ from, to, body: isi });
    },
  };
}
