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
} as const;
