// `npm run rebuild -- pelaporan`: makes a read model again from its events, while the mesh goes on, and says how far it is.
import { resolve } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { createWireClient } from "#chassis/wire/client.ts";
import { createWireTransport } from "#chassis/wire/wire.ts";
import { AuthService } from "#gen/lampid/auth/v1/auth_service_pb.ts";
import { PemeliharaanService } from "#gen/lampid/pelaporan/v1/pemeliharaan_service_pb.ts";
import { readMeshState } from "./data-dir.ts";

const [model = "--help", ...rest] = process.argv.slice(2);
if (model !== "pelaporan" || rest.length > 0) {
  console.log(`usage: npm run -s rebuild -- pelaporan

Makes the state that lists of reports read again from their events, while reports go on. Rows that differ are replaced, rows that are
missing come back, rows without events go. Progress is said on stderr, the result on stdout. A run that was cut off has
mended what it had come to: run it again.
Variables: LAMPID_DATA_DIR (default .lampid) names the running mesh, LAMPID_DEMO_PASSWORD (default rahasia) its password.
Elsewhere: grpcurl -H "authorization: Bearer TOKEN" HOST:9003 lampid.pelaporan.v1.PemeliharaanService/RebuildLaporan, with a token
of an admin_pusat.`);
  process.exit(model === "--help" ? 0 : 2);
}

const dataDir = resolve(process.env.LAMPID_DATA_DIR || ".lampid");
const urls = readMeshState(dataDir)?.urls;
if (!urls) {
  console.error(`rebuild: no mesh is running on ${dataDir}: run npm start, or set LAMPID_DATA_DIR`);
  process.exit(1);
}

const SAY_EVERY_MS = 1_000;
const [auth, pelaporan] = [urls.auth!, urls.pelaporan!].map((baseUrl) => createWireTransport({ baseUrl }));
try {
  const password = process.env.LAMPID_DEMO_PASSWORD || "rahasia";
  const { accessToken } = await createWireClient(AuthService, auth!).login({ username: "pusat", password });
  const headers = { authorization: `Bearer ${accessToken}` };
  const startedAt = performance.now();
  let saidAt = startedAt;
  for await (const so of createWireClient(PemeliharaanService, pelaporan!).rebuildLaporan({}, { headers })) {
    const now = performance.now();
    const seconds = ((now - startedAt) / 1000).toFixed(1);
    const { laporan, peristiwa, diperbaiki, dihapus } = so;
    const line = `${laporan} reports of ${peristiwa} events: ${diperbaiki} rows mended, ${dihapus} removed; ${seconds} s`;
    if (so.selesai) console.log(line);
    else if (now - saidAt > SAY_EVERY_MS) {
      saidAt = now;
      console.error(line);
    }
  }
} catch (cause) {
  console.error(`rebuild: ${ConnectError.from(cause).rawMessage}`);
  process.exitCode = 1;
} finally {
  auth!.close();
  pelaporan!.close();
}
process.disconnect?.();
