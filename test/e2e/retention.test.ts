// The rules of retention on a real mesh, in the roles of its services: they may do what they have to, and what is new stays.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { handledEvents } from "#chassis/bus/retention.ts";
import { configReader } from "#chassis/config.ts";
import { commonRules, handledInbox, type RetentionRule, removeOld } from "#chassis/retention.ts";
import { decidedContents } from "../../services/integrasi/postgres-karantina-store.ts";
import type { DatabaseName } from "../../services/mesh/provision.ts";
import { mergeAnswers } from "../../services/penduduk/penggabungan/count-registry.ts";
import { isCluster, type RunningMesh, useMesh } from "../harness/mesh.ts";

let mesh: RunningMesh;
before(async () => {
  mesh = await useMesh();
});
after(() => mesh?.stop());

const config = configReader({ LAMPID_RETENTION_AUDIT_DAYS: "3650" });
const inbox = handledInbox(config);
const OWN: Partial<Record<DatabaseName, readonly RetentionRule[]>> = {
  auth: [],
  penduduk: [mergeAnswers(config)],
  pelaporan: [],
  notifikasi: [inbox],
  statistik: [],
  integrasi: [inbox, decidedContents(config)],
  dokumen: [inbox],
};

const look = (url: string, service: string, rules: readonly RetentionRule[]) =>
  removeOld({ url, service, rules, signal: new AbortController().signal });

for (const [name, rules] of Object.entries(OWN)) {
  test(`${name} may do all that its rules say, and removes nothing that is new`, async () => {
    const url = mesh.databaseUrl(name as DatabaseName);
    assert.deepEqual([...(await look(url, name, [...commonRules(config, name), ...rules]))], []);
  });
}

test("statistik may shorten the embedded log", { skip: isCluster() }, async () => {
  const url = Object.assign(new URL(mesh.databaseUrl("statistik")), { pathname: "/bus" }).href;
  assert.deepEqual([...(await look(url, "statistik", [handledEvents(config)]))], []);
});
