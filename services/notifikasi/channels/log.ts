// The default channel: the message is noted in the log by its id, and its text stays in the delivery log.
import type { Logger } from "#chassis/log.ts";
import type { Channel } from "./channel.ts";

export function logChannel(log: Logger): Channel {
  return {
    concurrency: 200,
    async send({ id, templat, kodeWilayah }) {
      log.debug({ pesan: id, templat, kodeWilayah }, "message delivered to the log");
    },
  };
}
