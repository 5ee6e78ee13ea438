// Composition of the notifications: the same for production and for component tests.
import { EventEmitter, once } from "node:events";
import { forever } from "#chassis/backoff.ts";
import { ConfigError, type ConfigReader } from "#chassis/config.ts";
import { isDatabaseUnavailable } from "#chassis/database.ts";
import { holdLock } from "#chassis/lock.ts";
import type { Logger } from "#chassis/log.ts";
import type { ProcessContext } from "#chassis/process.ts";
import { handledInbox } from "#chassis/retention.ts";
import { loadWilayah } from "#chassis/wilayah.ts";
import { createWireClient } from "#chassis/wire/client.ts";
import { NotifikasiService } from "#gen/lampid/notifikasi/v1/notifikasi_service_pb.ts";
import { PelaporanInternalService } from "#gen/lampid/pelaporan/v1/pelaporan_internal_service_pb.ts";
import type { Channel } from "./channels/channel.ts";
import { emailChannel } from "./channels/email.ts";
import { logChannel } from "./channels/log.ts";
import { smsChannel } from "./channels/sms.ts";
import { announceLaporan, announceRegistrations, announceRoutes } from "./consumer.ts";
import { deliverDue, runDelivery } from "./delivery.ts";
import { kontakOf } from "./kontak.ts";
import { measureWaiting } from "./metrics.ts";
import { postgresPreferensiStore } from "./postgres-preferensi-store.ts";
import { postgresPesanStore } from "./postgres-store.ts";
import { type Kanal, kanalNames } from "./preferensi.ts";
import { notifikasiService } from "./service.ts";

/** Tells the sender's lock from others in the same database. */
const SENDER_LOCK = 7_021_947;
/** Of one question to pelaporan; whoever waits longer asks again later. */
const KONTAK_TIMEOUT_MS = 5_000;

export async function composeNotifikasi(context: ProcessContext): Promise<void> {
  const { config, log, signal } = context;
  const clock = () => new Date();
  const kanal = config.oneOf("LAMPID_NOTIFIKASI_KANAL", kanalNames, "log");
  const channels = await openChannels(kanal, config, log);
  const store = postgresPesanStore(context.database());
  const preferensi = postgresPreferensiStore(context.database());
  const queue = new EventEmitter();
  const onQueued = () => queue.emit("queued");

  const hasKanal = (name: Kanal) => channels.has(name);
  context.serve(NotifikasiService, notifikasiService({ store, preferensi, hasKanal, clock, onQueued }));
  const announced = { store, preferensi, kanal, clock, onQueued };
  const bus = await context.bus();
  bus.subscribe({
    topic: "operasi-events",
    group: "notifikasi",
    handler: announceRoutes(announced),
    isTransient: isDatabaseUnavailable,
  });
  bus.subscribe({
    topic: "pendaftaran-events",
    group: "notifikasi",
    // Nobody needs a message sooner, and a row in a batch of 250 costs a third of one in a batch of 25.
    lingerMs: 200,
    handler: announceRegistrations({ ...announced, wilayah: loadWilayah() }),
    isTransient: isDatabaseUnavailable,
  });

  bus.subscribe({
    topic: "laporan-events",
    group: "notifikasi",
    handler: announceLaporan(announced),
    isTransient: isDatabaseUnavailable,
  });

  context.retain([handledInbox(config)]);

  context.background(measureWaiting({ store, meter: context.telemetry.meter, clock, signal }));

  const reachable = context.health.part("pelaporan", { isCritical: false });
  reachable(true);
  const pelaporan = createWireClient(
    PelaporanInternalService,
    context.upstream("pelaporan", { defaultTimeoutMs: KONTAK_TIMEOUT_MS }),
  );
  const kontak = kontakOf({ pelaporan, onReachable: reachable });
  // A mesh that sends nothing shows in its log what it would have sent, by whichever channel.
  const standIn = kanal === "log" ? { standIn: "log" } : {};
  const maxAttempts = config.integer("LAMPID_NOTIFIKASI_PERCOBAAN", { min: 1, max: 20, fallback: 8 });
  const deliver = deliverDue({ store, channels, kontak, ...standIn, clock, log, maxAttempts });
  const woken = async (until: AbortSignal) =>
    void (await once(queue, "queued", { signal: until }).catch(() => {}));
  const url = config.url("LAMPID_DATABASE_URL", ["postgres:", "postgresql:"]);
  context.background(
    forever(
      signal,
      { baseMs: 200, maxMs: 5_000 },
      () =>
        holdLock({ url, name: "notifikasi sender", key: SENDER_LOCK, signal }, (held) =>
          runDelivery(deliver, woken, held),
        ),
      (cause, delayMs) => log.warn({ err: cause, delayMs }, "delivery stopped, trying again"),
    ),
  );
  context.onClose(() => {
    for (const channel of channels.values()) channel.close?.();
  });
}

/** The channel of the officers, and each other that has its settings: reporters choose. */
async function openChannels(kanal: Kanal, config: ConfigReader, log: Logger) {
  const channels = new Map<string, Channel>([["log", logChannel(log)]]);
  if (kanal === "email" || config.optional("LAMPID_SMTP_URL")) {
    const url = config.url("LAMPID_SMTP_URL", ["smtp:", "smtps:"]);
    channels.set(
      "email",
      emailChannel({
        url,
        from: config.string("LAMPID_SMTP_FROM"),
        to: config.string("LAMPID_PETUGAS_EMAIL"),
      }),
    );
  }
  if (kanal === "sms" || config.optional("TWILIO_ACCOUNT_SID")) {
    const baseUrl = config.optional("TWILIO_BASE_URL") && config.url("TWILIO_BASE_URL", ["http:", "https:"]);
    const accountSid = config.string("TWILIO_ACCOUNT_SID");
    if (!accountSid.startsWith("AC")) {
      throw new ConfigError("TWILIO_ACCOUNT_SID", 'an account SID, which starts with "AC"', "something else");
    }
    const options = {
      accountSid,
      authToken: config.string("TWILIO_AUTH_TOKEN"),
      from: config.string("TWILIO_FROM"),
      to: config.string("LAMPID_PETUGAS_TELEPON"),
      ...(baseUrl ? { baseUrl } : {}),
    };
    channels.set("sms", await smsChannel(options));
  }
  return channels;
}
