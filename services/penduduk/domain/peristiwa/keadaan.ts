// The part of the registry that an effect looks at: residents, the family cards they are in, and a draft of what comes of them.
import { KEPALA_KELUARGA } from "../kartu-keluarga.ts";

/** Numbers of the contract's enum Penduduk.Shdk, as far as rules name them. */
export const SHDK = {
  none: 0,
  kepala: KEPALA_KELUARGA,
  suami: 2,
  istri: 3,
  anak: 4,
  familiLain: 9,
  pembantu: 10,
  lainnya: 11,
} as const;

/** Numbers of the contract's enum Penduduk.Status. */
export const STATUS = {
  aktif: 1,
  meninggal: 2,
  dalamPerpindahan: 3,
  luarNegeri: 4,
  ditutup: 5,
} as const;

/** Numbers of the contract's enum Penduduk.StatusPerkawinan. */
export const PERKAWINAN = { belumKawin: 1, kawin: 2, ceraiHidup: 3, ceraiMati: 4 } as const;

/** Numbers of the contract's enum Penduduk.JenisKelamin. */
export const JENIS_KELAMIN = { lakiLaki: 1, perempuan: 2 } as const;

export type Penduduk = {
  id: string;
  /** "" of a child whose NIK is not issued yet. */
  nik: string;
  jenisKelamin: number;
  /** ISO 8601. */
  tanggalLahir: string;
  status: number;
  statusPerkawinan: number;
  shdk: number;
  /** Id of the family card; undefined: in none. */
  kartu: string | undefined;
  kodeWilayah: string;
  alamat: string;
  rt: string;
  rw: string;
};

export type Kartu = {
  id: string;
  /** "" of a card that is not numbered yet. */
  nomorKk: string;
  kodeWilayah: string;
  alamat: string;
};

/** Of every card in it, all living members are in it. */
export type Keadaan = {
  penduduk: ReadonlyMap<string, Penduduk>;
  kartu: ReadonlyMap<string, Kartu>;
};

export function keadaanOf(penduduk: Iterable<Penduduk>, kartu: Iterable<Kartu>): Keadaan {
  return {
    penduduk: new Map([...penduduk].map((each) => [each.id, each])),
    kartu: new Map([...kartu].map((each) => [each.id, each])),
  };
}

/** A copy that an effect is made in; the original stays as it is. */
export type Draft = {
  penduduk: Map<string, Penduduk>;
  kartu: Map<string, Kartu>;
};

export function draftOf({ penduduk, kartu }: Keadaan): Draft {
  return { penduduk: new Map(penduduk), kartu: new Map(kartu) };
}

/** Sets fields of a resident who is in the draft. */
export function change(draft: Draft, id: string, fields: Partial<Penduduk>): void {
  draft.penduduk.set(id, { ...draft.penduduk.get(id)!, ...fields });
}

/** Living members, by id, so that no order of rows ever decides anything. */
export function membersOf({ penduduk }: Keadaan, kartu: string): Penduduk[] {
  return [...penduduk.values()]
    .filter((each) => each.kartu === kartu && each.status === STATUS.aktif)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

export function headOf(keadaan: Keadaan, kartu: string): Penduduk | undefined {
  return membersOf(keadaan, kartu).find(({ shdk }) => shdk === SHDK.kepala);
}

export function findByNik({ penduduk }: Keadaan, nik: string): Penduduk | undefined {
  for (const each of penduduk.values()) if (each.nik === nik) return each;
  return undefined;
}

export function findByNomorKk({ kartu }: Keadaan, nomorKk: string): Kartu | undefined {
  for (const each of kartu.values()) if (each.nomorKk === nomorKk) return each;
  return undefined;
}

/** Whether a residence is in the kelurahan that reports; of some residents no more than the kecamatan is known. */
export function isInKelurahan(kodeWilayah: string, kelurahan: string): boolean {
  return kodeWilayah === kelurahan || (kodeWilayah.length === 8 && kelurahan.startsWith(`${kodeWilayah}.`));
}

/** Code of the kabupaten/kota of any wilayah in it. */
export function kabupatenOf(kodeWilayah: string): string {
  return kodeWilayah.slice(0, 5);
}
