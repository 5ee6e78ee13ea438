// E-mail by SMTP (nodemailer).
import { createTransport } from "nodemailer";
import type { Channel } from "./channel.ts";

export type EmailOptions = {
  /** "smtp://user:password@host:587" or "smtps://...". */
  url: string;
  from: string;
  to: string;
};

const TIMEOUT_MS = 10_000;

export function emailChannel({ url, from, to }: EmailOptions): Channel {
  const transport = createTransport(url, {
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
  } as Parameters<typeof createTransport>[1]);
  return {
    concurrency: 5,
    async send({ id, isi, templat }) {
      // The same message tried twice has the same id, so that a mail client shows it once.
      await transport.sendMail({
        from,
        to,
        subject: `e-LAMPID: ${templat}`,
        text: isi,
        messageId: `<${id}@e-lampid>`,
      });
    },
    close: () => transport.close(),
  };
}
