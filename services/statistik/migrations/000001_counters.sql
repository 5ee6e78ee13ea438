-- Residents registered per kecamatan; the figure of a province is the sum of its kecamatan.
create table jumlah_kecamatan (
  kode       text primary key collate "C",
  jumlah     int not null,
  updated_at timestamptz not null default now()
);
