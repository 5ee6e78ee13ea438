import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BusEvent } from "#chassis/bus/event-bus.ts";
import { PengirimanPeristiwaSchema } from "#gen/lampid/integrasi/v1/integrasi_events_pb.ts";
import {
  Pengiriman_Sistem as Sistem,
  Pengiriman_Status as Status,
} from "#gen/lampid/integrasi/v1/pengiriman_pb.ts";
import { noteDeliveries } from "../../services/pelaporan/pengiriman.ts";
import { postgresPengirimanStore } from "../../services/pelaporan/postgres-pengiriman-store.ts";
import { type EfekComponent, openEfek } from "./efek-component.ts";
import { kelahiran, kota, NOW, on } from "./reports.ts";

let reports: EfekComponent;
let note: ReturnType<typeof noteDeliveries>;

before(async () => {
  reports = await openEfek();
  note = noteDeliveries(postgresPengirimanStore(reports.db));
});
afterEach(() => reports.reset());
after(() => reports.close());

function told(
  { name }: { name: string },
  peristiwa: string,
  status: Status,
  second: number,
  sistem: Sistem = Sistem.DUKCAPIL,
): BusEvent {
  const waktu = timestampFromDate(new Date(NOW.getTime() + second * 1_000));
  const alasan = status === Status.DITERIMA ? "" : "down";
  const message = create(PengirimanPeristiwaSchema, {
    laporan: name,
    peristiwa,
    sistem,
    status,
    alasan,
    waktu,
  });
  return {
    id: randomUUID(),
    source: "/lampid/integrasi",
    type: PengirimanPeristiwaSchema.typeName,
    subject: name,
    key: name,
    time: NOW.toISOString(),
    traceparent: "",
    data: toBinary(PengirimanPeristiwaSchema, message),
  };
}

const shown = async (name: string) =>
  (await reports.get(name)).pengiriman.map(({ sistem, status }) => [sistem, status]);

/** A report in effect, and the id of the command that made it so. */
async function inEffect() {
  reports.startWorker();
  const laporan = await reports.answered((await reports.approved()).name);
  return { laporan, peristiwa: reports.registry.requests.at(-1)!.peristiwa };
}

test("a report shows how far each system outside is, and what one has accepted it has", async () => {
  const { laporan, peristiwa } = await inEffect();
  assert.deepEqual(await shown(laporan.name), []);
  await note([
    told(laporan, peristiwa, Status.MENUNGGU, 1),
    told(laporan, peristiwa, Status.DITOLAK, 2, Sistem.SIAK),
  ]);
  assert.deepEqual(await shown(laporan.name), [
    [Sistem.DUKCAPIL, Status.MENUNGGU],
    [Sistem.SIAK, Status.DITOLAK],
  ]);
  const accepted = told(laporan, peristiwa, Status.DITERIMA, 3);
  await note([accepted, told(laporan, peristiwa, Status.MENUNGGU, 2), accepted]);
  await note([
    told(laporan, peristiwa, Status.MENUNGGU, 9),
    told(laporan, peristiwa, Status.MENUNGGU, 1, Sistem.SIAK),
  ]);
  assert.deepEqual(await shown(laporan.name), [
    [Sistem.DUKCAPIL, Status.DITERIMA],
    [Sistem.SIAK, Status.DITOLAK],
  ]);
  const { pengiriman } = await reports.get(laporan.name);
  assert.deepEqual(
    pengiriman.map(({ alasan }) => alasan),
    ["", "down"],
  );
});

test("a report that was corrected shows how far they are with the correction", async () => {
  const { laporan, peristiwa } = await inEffect();
  await note([told(laporan, peristiwa, Status.DITERIMA, 60)]);
  await reports.client.correctLaporan({ ...on(laporan), alasan: "x", isi: kelahiran() }, kota);
  await reports.answered(laporan.name);
  const correction = reports.registry.requests.at(-1)!.peristiwa;
  await note([told(laporan, correction, Status.MENUNGGU, 30)]);
  assert.deepEqual(await shown(laporan.name), [[Sistem.DUKCAPIL, Status.MENUNGGU]]);
});

test("what tells of no delivery is refused, and what concerns no report is passed over", async () => {
  const { laporan, peristiwa } = await inEffect();
  await note([told({ name: "" }, peristiwa, Status.DITERIMA, 1)]);
  await note([{ ...told(laporan, peristiwa, Status.DITERIMA, 1), type: "lampid.integrasi.v1.Another" }]);
  assert.deepEqual(await shown(laporan.name), []);
  await assert.rejects(note([told({ name: "laporan/1" }, peristiwa, Status.DITERIMA, 1)]), /no delivery/);
  await assert.rejects(note([told(laporan, peristiwa, 9 as Status, 1)]), /no delivery/);
});
