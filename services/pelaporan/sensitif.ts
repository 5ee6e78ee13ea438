// Fields that are kept apart from the rest of a report, so that they can be sealed by themselves.
import { clone, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type IsiLaporan, IsiLaporanSchema } from "#gen/lampid/pelaporan/v1/laporan_pb.ts";

/** Full names. None lies in a list: entries of two lists could not be brought together again. */
const SENSITIVE: ReadonlySet<string> = new Set([
  "lampid.pelaporan.v1.Kelahiran.nama_ibu",
  "lampid.pelaporan.v1.Pelapor.telepon",
  "lampid.pelaporan.v1.Pelapor.email",
  "lampid.pelaporan.v1.Pindah.alamat_tujuan",
  "lampid.pelaporan.v1.KartuBaru.alamat",
]);

export type Terpisah = { isi: Uint8Array; sensitif: Uint8Array };

/** Two messages of the same type in binary: the one without the sensitive fields, and these alone. */
export function separate(whole: IsiLaporan): Terpisah {
  const open = clone(IsiLaporanSchema, whole);
  const apart = create(IsiLaporanSchema);
  move(reflect(IsiLaporanSchema, open), reflect(IsiLaporanSchema, apart));
  return { isi: toBinary(IsiLaporanSchema, open), sensitif: toBinary(IsiLaporanSchema, apart) };
}

/** One message written after another of its type is the two merged: so the wire format says, and no code of ours. */
export function unite({ isi, sensitif }: Terpisah): IsiLaporan {
  return fromBinary(IsiLaporanSchema, Buffer.concat([isi, sensitif]));
}

/** Moves what is sensitive from one message to another, in messages within, too. */
function move(from: ReflectMessage, to: ReflectMessage): boolean {
  let moved = false;
  for (const field of from.fields) {
    if (!from.isSet(field)) continue;
    if (SENSITIVE.has(`${from.desc.typeName}.${field.name}`)) {
      to.set(field, from.get(field));
      from.clear(field);
      moved = true;
    } else if (field.fieldKind === "message") {
      const inner = to.get(field);
      if (!move(from.get(field), inner)) continue;
      to.set(field, inner);
      moved = true;
    }
  }
  return moved;
}
