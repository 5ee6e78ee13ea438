// Who is on record for an effect: of the report, and of each resident whom it changed, with the fields that it wrote.
import type { AuditEntry } from "#chassis/audit.ts";
import { snakeCase } from "../biodata.ts";
import { type Letak, letakOf } from "../domain/peristiwa/jejak.ts";
import { pendudukName } from "../messages.ts";
import type { Berlaku } from "./konteks.ts";

/** As the contract names them. */
const kolomOfLetak = (name: keyof Letak) => (name === "kartu" ? "nomor_kk" : snakeCase(name));

/** @param of the report. */
export function auditOf(of: AuditEntry, { before, efek, biodata = [] }: Berlaku): AuditEntry[] {
  const residents = efek.penduduk.map((id) => {
    const sesudah = efek.sesudah.penduduk.get(id)!;
    const now = letakOf(sesudah);
    const then = before.penduduk.get(id);
    const changed = (Object.keys(now) as (keyof Letak)[]).filter((name) => now[name] !== then?.[name]);
    const kolom = [...new Set([...biodata, ...changed.map(kolomOfLetak)])];
    const why = { keperluan: of.resource, kolom };
    return { ...of, ...why, resource: pendudukName(id), wilayah: sesudah.kodeWilayah };
  });
  return [of, ...residents];
}
