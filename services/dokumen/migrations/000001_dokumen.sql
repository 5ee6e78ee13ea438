-- Documents that reports gave rise to. Of persons there is what is printed, and no more: names, dates, places, and NIKs with
-- birth date and serial hidden.
create table dokumen (
  id            uuid primary key,
  -- Numbers of Dokumen.Jenis and Dokumen.Status in dokumen.proto.
  jenis         smallint not null,
  status        smallint not null,
  nomor         text not null,
  laporan       text not null,
  nomor_laporan text not null,
  kode_wilayah  text not null collate "C",
  -- What is printed, [instansi, [[label, text], ...]]; json and not jsonb, for the statement has the hash of it.
  fakta         json not null,
  -- The JWS in the QR code, as it was signed when the document was issued.
  pernyataan    text not null,
  alasan        text not null default '',
  versi         int not null,
  created_at    timestamptz not null,
  revoked_at    timestamptz
);
create index dokumen_laporan on dokumen (laporan, id);
-- A report has one good document of its kind, whatever comes twice or late.
create unique index dokumen_berlaku on dokumen (laporan, jenis) where status = 1;

-- The last event of each report that was dealt with here: one that comes again, or after a later one, has no effect.
create table jejak (
  laporan text primary key,
  versi   int not null
);
