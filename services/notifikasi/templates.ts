// What messages say, in Indonesian. No template may hold a full NIK.

export type TemplateName = keyof typeof templates;

export const templates = {
  /** To the officer on duty of the wilayah, for each registration. */
  pendaftaran_baru: ({
    nama,
    nikTersamar,
    provinsi,
    wilayah,
  }: Record<"nama" | "nikTersamar" | "provinsi" | "wilayah", string>) =>
    `Pendaftaran baru: ${nama} (${nikTersamar}), ${wilayah}, ${provinsi}.`,

  /** To the officer on duty: the traffic of a route has left the new system, or is back. */
  rute_dialihkan: ({ rpc, sistemLama, gagal, panggilan }: Dialihkan) =>
    `Peringatan: ${rpc} gagal ${gagal} dari ${panggilan} panggilan dan dialihkan ke sistem lama (${sistemLama}).`,

  rute_pulih: ({ rpc, sistemLama }: Pick<Dialihkan, "rpc" | "sistemLama">) =>
    `Pulih: ${rpc} kembali ke sistem baru dari sistem lama (${sistemLama}).`,
} as const;

type Dialihkan = { rpc: string; sistemLama: string; gagal: number; panggilan: number };
