// E-mail by SMTP (nodemailer).
import { createTransport } from "nodemailer";
import type { Channel } from "./channel.ts";

export type EmailOptions = {
  /** "smtp://user:password@host:587" or "smtps://...". */
  url: string;
  from: string;
  /** The officer on duty. */
  to: string;
  /** Longest silence of the server, milliseconds. Default 10,000. */
  timeoutMs?: number;
};

const TIMEOUT_MS = 10_000;

export function emailChannel({ url, from, to: officer, timeoutMs = TIMEOUT_MS }: EmailOptions): Channel {
  // In the one object: a second argument holds defaults of messages, not of the connection.
  const transport = createTransport({
    url,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  });
  return {
    concurrency: 5,
    async send({ id, isi, templat, penerima }, to = officer) {
      // The same message tried twice has the same id, so that a mail client shows it once.
      await transport.sendMail({
        from,
        to,
        subject: `e-LAMPID: ${penerima === "pelapor" ? templat.replaceAll("_", " ") : templat}`,
        text: isi,
        messageId: `<${id}@e-lampid>`,
      });
    },
    close: () => transport.close(),
  };
}
