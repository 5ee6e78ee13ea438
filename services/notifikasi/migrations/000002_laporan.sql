-- Messages to reporters besides those to offices, and what each office wants to be told of.

-- Numbers of Pesan.Penerima in notifikasi_service.proto. What was there before is all to offices.
alter table pesan add column penerima smallint not null default 1;
-- The report that it tells of. Of its reporter nothing is kept here: the address is read from pelaporan at each try.
alter table pesan add column laporan text not null default '';

create table preferensi (
  -- The office.
  kode_wilayah text primary key collate "C",
  -- [{"templat": "laporan_diajukan", "kanal": ["email"]}]
  aturan       jsonb not null,
  versi        int not null,
  updated_at   timestamptz not null
);
