import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { NikDiterbitkanSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { Penduduk_JenisKelamin as JenisKelamin } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import { openRegistry, operator, printed, pusat, type Registry, supervisor } from "./registry.ts";

let registry: Registry;
let client: Registry["client"];

before(async () => {
  registry = await openRegistry();
  client = registry.client;
});

after(() => registry.close());

const birthOn = (tanggalLahir: string, over = {}) => ({
  kodeWilayah: "32.01.01",
  tanggalLahir,
  jenisKelamin: JenisKelamin.LAKI_LAKI,
  ...over,
});

const serialOf = (nik: string) => Number(nik.slice(12));
const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, n) => n + from);

test("a NIK is made of kecamatan, birth date, 40 more for a woman, and the first serial", async () => {
  const boy = await client.issueNik(birthOn("2026-03-05"), operator);
  assert.equal(boy.nik, "3201010503260001");
  const girl = { jenisKelamin: JenisKelamin.PEREMPUAN, kodeWilayah: "32.01.01.1006" };
  assert.equal((await client.issueNik(birthOn("2026-03-05", girl), operator)).nik, "3201014503260001");
  assert.equal((await client.issueNik(birthOn("2026-03-05"), operator)).nik, "3201010503260002");
});

test("an issued NIK can be registered, and is told of without its birth date and serial", async () => {
  const { nik } = await client.issueNik(birthOn("2026-03-06"), operator);
  const { rows } = await registry.db.query("select type, payload from outbox order by xid desc limit 1");
  assert.equal(rows[0].type, NikDiterbitkanSchema.typeName);
  const told = fromBinary(NikDiterbitkanSchema, rows[0].payload);
  assert.equal(told.nikTersamar, `320101********${nik.slice(14)}`);
  assert.ok(!rows[0].payload.toString("latin1").includes(nik));
  const { penduduk } = await client.registerPenduduk(printed({ nik }), operator);
  assert.equal(penduduk!.tanggalLahir, "2026-03-06");
});

test("1,000 births in one kecamatan on one day get 1,000 different, consecutive serials above the registered ones", async () => {
  await client.registerPenduduk(printed({ nik: "3201010704260017" }), operator);
  const before = await registry.counts();
  const issued = await Promise.all(upTo(1_000).map(() => client.issueNik(birthOn("2026-04-07"), operator)));
  const serials = issued.map(({ nik }) => serialOf(nik)).sort((a, b) => a - b);
  assert.deepEqual(serials, upTo(1_000, 18));
  const after = await registry.counts();
  assert.equal(after.events, before.events + 1_000);
  assert.equal(after.audits, before.audits + 1_000);
});

test("the service answers other calls while births queue for serials", async () => {
  let born = 0;
  const birth = async () => {
    await client.issueNik(birthOn("2026-04-08"), operator);
    born++;
  };
  const births = Promise.all(upTo(300).map(birth));
  await client.registerPenduduk(printed(), operator);
  const before = born;
  await births;
  assert.ok(before < 150, `${before} of 300 births came before one registration`);
});

test("many prefixes at once do not disturb each other", async () => {
  const days = upTo(20).map((day) => `2026-05-${String(day).padStart(2, "0")}`);
  const issued = await Promise.all(
    upTo(200).map((n) => client.issueNik(birthOn(days[n % days.length]!), operator)),
  );
  assert.equal(new Set(issued.map(({ nik }) => nik)).size, 200);
  assert.ok(issued.every(({ nik }) => serialOf(nik) <= 10));
});

test("after serial 9999 there is no more, and the refusal keeps no trace", async () => {
  await registry.db.query("insert into serial (kind, prefix, serial) values ('nik', '320101010626', 9998)");
  assert.equal(serialOf((await client.issueNik(birthOn("2026-06-01"), operator)).nik), 9_999);
  const before = await registry.counts();
  for (let n = 0; n < 2; n++) {
    await assertRefused(
      client.issueNik(birthOn("2026-06-01", { requestId: randomUUID() }), operator),
      "ResourceExhausted",
      "SERIALS_EXHAUSTED",
    );
  }
  assert.deepEqual(await registry.counts(), before);
});

test("the last serials go to as many callers as there are, the rest is refused", async () => {
  await registry.db.query("insert into serial (kind, prefix, serial) values ('nik', '320101020626', 9990)");
  const outcomes = await Promise.allSettled(
    upTo(20).map(() => client.issueNik(birthOn("2026-06-02"), operator)),
  );
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 9);
});

test("a request id gives the first number again, also when it comes 30 times at once", async () => {
  const request = birthOn("2026-06-03", { requestId: randomUUID() });
  const answers = await Promise.all(upTo(30).map(() => client.issueNik(request, operator)));
  assert.deepEqual(new Set(answers.map(({ nik }) => nik)), new Set(["3201010306260001"]));
  assert.equal((await client.issueNik(request, operator)).nik, "3201010306260001");
  assert.equal(serialOf((await client.issueNik(birthOn("2026-06-03"), operator)).nik), 2);
  await assertRefused(
    client.issueNik({ ...request, tanggalLahir: "2026-06-04" }, operator),
    "Aborted",
    "REQUEST_ID_REUSED",
  );
  const other = as("operator", "32.01.01.1006", { subject: "somebody-else" });
  assert.equal(serialOf((await client.issueNik(request, other)).nik), 3);
});

test("different births with one request id at once: one is answered, the others are told of the conflict", async () => {
  const requestId = randomUUID();
  const outcomes = await Promise.allSettled(
    upTo(8).map((day) => client.issueNik(birthOn(`2026-07-0${day}`, { requestId }), operator)),
  );
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  const { rows } = await registry.db.query(
    "select count(*)::int as count from serial where prefix like '3201010_0726' and serial > 0",
  );
  assert.equal(rows[0].count, 1, "what the others had taken is given back");
});

test("a kecamatan whose code was retired gets no new NIK", async () => {
  await assertRefused(
    client.issueNik(birthOn("2026-06-05", { kodeWilayah: "91.01.01" }), pusat),
    "FailedPrecondition",
    "WILAYAH_RETIRED",
  );
});

test("what is wrong with a birth is refused field by field", async () => {
  const violations: [object, string[]][] = [
    [{ kodeWilayah: "32.01.99" }, ["kode_wilayah"]],
    [{ kodeWilayah: "32.01" }, ["kode_wilayah"]],
    [{ kodeWilayah: "32.01.01.9999" }, ["kode_wilayah"]],
    [{ tanggalLahir: "2026-02-30" }, ["tanggal_lahir"]],
    [{ tanggalLahir: "2026-11-21" }, ["tanggal_lahir"]],
    [{ tanggalLahir: "0000-01-01" }, ["tanggal_lahir"]],
    [{ tanggalLahir: "05-03-2026" }, ["tanggal_lahir"]],
    [{ jenisKelamin: 0 }, ["jenis_kelamin"]],
    [{ kodeWilayah: "32.01.99", tanggalLahir: "2026-02-30" }, ["kode_wilayah", "tanggal_lahir"]],
  ];
  for (const [over, fields] of violations) {
    await assertViolations(client.issueNik(birthOn("2026-06-06", over), pusat), fields);
  }
});

test("a birth today in Jakarta is no birth to come", async () => {
  assert.equal((await client.issueNik(birthOn("2026-11-20"), operator)).nik, "3201012011260001");
});

test("an officer issues in their own wilayah only", async () => {
  const before = await registry.counts();
  for (const kodeWilayah of ["32.01.02", "32.01.01.1007"]) {
    await assertRefused(
      client.issueNik(birthOn("2026-06-07", { kodeWilayah }), operator),
      "PermissionDenied",
      "WILAYAH_DENIED",
    );
  }
  await assertRefused(client.issueNik(birthOn("2026-06-07"), as("mitra", "32.01")), "PermissionDenied");
  assert.deepEqual(await registry.counts(), before);
  await client.issueNik(birthOn("2026-06-07", { kodeWilayah: "32.01.01.1007" }), supervisor);
});
