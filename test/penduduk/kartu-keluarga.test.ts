import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { pendudukEventId } from "#chassis/peristiwa-id.ts";
import { KartuKeluargaDibuatSchema } from "#gen/lampid/penduduk/v1/penduduk_events_pb.ts";
import { type Penduduk, Penduduk_Shdk as Shdk } from "#gen/lampid/penduduk/v1/penduduk_pb.ts";
import { as, assertRefused, assertViolations } from "../harness/component.ts";
import { freshNik, kota, openRegistry, operator, printed, pusat, type Registry } from "./registry.ts";

let registry: Registry;
let client: Registry["client"];

before(async () => {
  registry = await openRegistry();
  client = registry.client;
});

after(() => registry.close());

async function registered(over: object = {}): Promise<Penduduk> {
  return (await client.registerPenduduk({ ...printed(), ...over }, pusat)).penduduk!;
}

function family(members: readonly Penduduk[], over: object = {}) {
  return {
    kodeWilayah: "32.01.01.1006",
    alamat: "Jl. Merdeka No. 1",
    anggota: members.map(({ nik }, n) => ({ nik, shdk: n === 0 ? Shdk.KEPALA_KELUARGA : Shdk.ANAK })),
    ...over,
  };
}

const create = (members: readonly Penduduk[], over: object = {}) =>
  client.createKartuKeluarga(family(members, over), operator);

test("a family card has the next number of its kecamatan and day, and its members, head first", async () => {
  const [child, wife, head] = [await registered(), await registered(), await registered()];
  const anggota = [
    { nik: child.nik, shdk: Shdk.ANAK },
    { nik: wife.nik, shdk: Shdk.ISTRI },
    { nik: head.nik, shdk: Shdk.KEPALA_KELUARGA },
  ];
  const { kartuKeluarga: card } = await create([], { anggota });
  assert.equal(card!.nomorKk, "3201012011260001");
  assert.deepEqual(
    card!.anggota.map(({ penduduk, shdk }) => [penduduk, shdk]),
    [
      [head.name, Shdk.KEPALA_KELUARGA],
      [child.name, Shdk.ANAK],
      [wife.name, Shdk.ISTRI],
    ],
  );
  assert.equal(card!.anggota[0]!.nama, head.nama);
  for (const kunci of [
    { case: "name", value: card!.name },
    { case: "nomorKk", value: card!.nomorKk },
  ] as const) {
    const { kartuKeluarga: read } = await client.getKartuKeluarga({ kunci }, operator);
    assert.equal(read!.anggota[0]!.penduduk, head.name);
    assert.deepEqual(byName(read!.anggota), byName(card!.anggota));
    assert.deepEqual({ ...read, anggota: [] }, { ...card, anggota: [] });
  }
  const { penduduk } = await client.getPenduduk({ name: wife.name }, operator);
  assert.equal(penduduk!.nomorKk, card!.nomorKk);
  assert.equal(penduduk!.shdk, Shdk.ISTRI);
  assert.equal(penduduk!.etag, "2");
});

test("a new card is told of once, and audited once", async () => {
  const [head, child] = [await registered(), await registered()];
  const before = await registry.counts();
  const { kartuKeluarga: card } = await create([head, child]);
  const after = await registry.counts();
  assert.deepEqual(after, { ...before, events: before.events + 1, audits: before.audits + 1 });
  const { rows } = await registry.db.query("select type, payload from outbox where aggregateid = $1", [
    card!.name,
  ]);
  assert.equal(rows[0].type, KartuKeluargaDibuatSchema.typeName);
  const told = fromBinary(KartuKeluargaDibuatSchema, rows[0].payload);
  assert.deepEqual(told.anggota, [head.name, child.name]);
  assert.ok(!rows[0].payload.toString().includes(head.nik));
});

test("each member of a new card waits for the hub under an id of their own", async () => {
  const [head, child] = [await registered(), await registered()];
  const { kartuKeluarga: card } = await create([head, child]);
  const { rows: told } = await registry.db.query("select id from outbox where aggregateid = $1", [
    card!.name,
  ]);
  const { rows } = await registry.db.query(
    "select 'penduduk/' || id as name, perubahan_lokal as id from penduduk where nik = any($1)",
    [[head.nik, child.nik]],
  );
  const waits = new Map(rows.map(({ name, id }) => [name, id]));
  for (const { name } of [head, child]) {
    assert.equal(waits.get(name), pendudukEventId(told[0].id, name.slice("penduduk/".length)));
  }
});

test("a family has exactly one head, nobody twice, and at least one member", async () => {
  const [a, b] = [await registered(), await registered()];
  const before = await registry.counts();
  const heads = [Shdk.KEPALA_KELUARGA, Shdk.KEPALA_KELUARGA];
  const of = (shdks: Shdk[], niks = [a.nik, b.nik]) => ({
    anggota: shdks.map((shdk, n) => ({ nik: niks[n]!, shdk })),
  });
  await assertViolations(create([], of(heads)), ["anggota"]);
  await assertViolations(create([], of([Shdk.ANAK, Shdk.ISTRI])), ["anggota"]);
  await assertViolations(create([a, a]), ["anggota[1].nik"]);
  await assertViolations(create([]), ["anggota"]);
  await assertViolations(create([], of([Shdk.KEPALA_KELUARGA, 0])), ["anggota[1].shdk"]);
  await assertViolations(create([a], { alamat: "" }), ["alamat"]);
  await assertViolations(create([a], { kodeWilayah: "32.01.01.9999" }), ["kode_wilayah"]);
  await assertViolations(create([], of([Shdk.KEPALA_KELUARGA], ["1"])), ["anggota[0].nik"]);
  assert.deepEqual(await registry.counts(), before);
});

test("who is in a family card cannot join another one, and the others stay free", async () => {
  const [head, member, free] = [await registered(), await registered(), await registered()];
  await create([head, member]);
  const before = await registry.counts();
  await assertRefused(create([free, member]), "FailedPrecondition", "ALREADY_IN_KK");
  assert.deepEqual(await registry.counts(), before);
  const { penduduk } = await client.getPenduduk({ name: free.name }, operator);
  assert.equal(penduduk!.nomorKk, "");
});

test("a member whom nobody registered is not found, and the refusal does not repeat the NIK", async () => {
  const head = await registered();
  const nik = freshNik();
  const anggota = [...family([head]).anggota, { nik, shdk: Shdk.ANAK }];
  const error = await assertRefused(create([], { anggota }), "NotFound", "NIK_UNKNOWN");
  assert.ok(!error.message.includes(nik));
});

test("of ten families that claim one member at once, one gets them", async () => {
  const shared = await registered();
  const heads = await Promise.all(Array.from({ length: 10 }, () => registered()));
  const before = await registry.counts();
  const outcomes = await Promise.allSettled(
    heads.map((head, n) => create(n % 2 ? [head, shared] : [head, shared].toReversed())),
  );
  const won = outcomes.filter((outcome) => outcome.status === "fulfilled");
  assert.equal(won.length, 1);
  const { penduduk } = await client.getPenduduk({ name: shared.name }, operator);
  assert.equal(penduduk!.nomorKk, won[0]!.value.kartuKeluarga!.nomorKk);
  assert.equal((await registry.counts()).events, before.events + 1);
});

test("concurrent families get consecutive numbers, and a refused one leaves no gap", async () => {
  const first = Number((await create([await registered()])).kartuKeluarga!.nomorKk.slice(12));
  const people = await Promise.all(Array.from({ length: 30 }, () => registered()));
  const outcomes = await Promise.allSettled(
    people.map((head, n) => (n % 3 === 0 ? create([head, { ...head, nik: freshNik() }]) : create([head]))),
  );
  const serials = outcomes.flatMap((outcome) =>
    outcome.status === "fulfilled" ? [Number(outcome.value.kartuKeluarga!.nomorKk.slice(12))] : [],
  );
  assert.deepEqual(
    serials.sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, n) => first + 1 + n),
  );
});

test("after number 9999 of a day there is no more", async () => {
  await registry.db.query("insert into serial (kind, prefix, serial) values ('kk', '320102201126', 9999)");
  const head = await registered({ nik: freshNik("320102010190") });
  const request = family([head], { kodeWilayah: "32.01.02" });
  await assertRefused(client.createKartuKeluarga(request, kota), "ResourceExhausted", "SERIALS_EXHAUSTED");
});

test("a request id gives the first card again, also when it comes 20 times at once", async () => {
  const members = [await registered(), await registered()];
  const request = family(members, { requestId: randomUUID() });
  const before = await registry.counts();
  const cards = await Promise.all(
    Array.from({ length: 20 }, () => client.createKartuKeluarga(request, operator)),
  );
  for (const card of cards) assert.deepEqual(card, cards[0]);
  assert.equal((await registry.counts()).events, before.events + 1);
  await assertRefused(
    client.createKartuKeluarga({ ...request, alamat: "Lain" }, operator),
    "Aborted",
    "REQUEST_ID_REUSED",
  );
});

test("also from two processes at once a request id makes one card", async () => {
  const replica = await registry.openReplica();
  for (let round = 0; round < 5; round++) {
    const request = family([await registered()], { requestId: randomUUID() });
    const [one, other] = await Promise.all([
      client.createKartuKeluarga(request, operator),
      replica.createKartuKeluarga(request, operator),
    ]);
    assert.deepEqual(one, other);
  }
});

test("families and members outside the caller's wilayah are denied", async () => {
  const [own, foreign] = [await registered(), await registered({ nik: freshNik("320102010190") })];
  await assertRefused(create([own, foreign]), "PermissionDenied", "WILAYAH_DENIED");
  await assertRefused(create([own], { kodeWilayah: "32.01.01.1007" }), "PermissionDenied", "WILAYAH_DENIED");
  const { kartuKeluarga: card } = await create([own]);
  for (const who of [as("operator", "32.01.02.2001"), as("admin_kota", "32.02")]) {
    for (const kunci of [
      { case: "name", value: card!.name },
      { case: "nomorKk", value: card!.nomorKk },
    ] as const) {
      await assertRefused(client.getKartuKeluarga({ kunci }, who), "PermissionDenied", "WILAYAH_DENIED");
    }
  }
});

test("a card that is not there is not found, and a key is required", async () => {
  const get = (kunci: Parameters<typeof client.getKartuKeluarga>[0]["kunci"]) =>
    client.getKartuKeluarga(kunci ? { kunci } : {}, operator);
  await assertRefused(get({ case: "name", value: `kartuKeluarga/${randomUUID()}` }), "NotFound");
  await assertRefused(get({ case: "nomorKk", value: "3201012011269999" }), "NotFound");
  await assertViolations(get(undefined), ["kunci"]);
  await assertViolations(get({ case: "nomorKk", value: "1" }), ["nomor_kk"]);
});

function byName<T extends { penduduk: string }>(members: readonly T[]): T[] {
  return members.toSorted((a, b) => a.penduduk.localeCompare(b.penduduk));
}
