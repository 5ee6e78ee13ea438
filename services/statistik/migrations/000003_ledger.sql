-- The population ledger. A figure of a wider wilayah, and the number of residents, are sums of these cells
-- (docs/decisions/0018).
create table ledger (
  -- As told: a kelurahan/desa; a kecamatan where no more is known.
  kode     text not null collate "C",
  -- "2026-11", in Asia/Jakarta.
  bulan    text not null collate "C",
  komponen text not null collate "C",
  jumlah   int not null,
  primary key (kode, bulan, komponen)
);

-- The old counters know neither months nor components: the log is counted again, under a new name.
drop table jumlah_kecamatan;
truncate inbox, generation;
alter table generation add column tutup_buku_hari smallint not null;
