// Numbers of the registry's enums, as lampid.penduduk.v1.Penduduk has them; a test compares the two.

export const SEX = { male: 1, female: 2 } as const;

export const SHDK = { kepala: 1, suami: 2, istri: 3, anak: 4, orangTua: 7, familiLain: 9 } as const;

export const KAWIN = { belum: 1, kawin: 2, ceraiHidup: 3, ceraiMati: 4 } as const;

export const STATUS = { aktif: 1, meninggal: 2 } as const;

export const AGAMA = {
  islam: 1,
  kristen: 2,
  katolik: 3,
  hindu: 4,
  buddha: 5,
  khonghucu: 6,
  kepercayaan: 7,
} as const;

/** Blood groups are 0 (not known) to this. */
export const LAST_GOLONGAN_DARAH = 12;
