-- Residents, family cards, and the serials of the numbers given to them.

create table kartu_keluarga (
  id           uuid primary key,
  nomor_kk     text not null constraint kartu_keluarga_nomor_kk unique,
  alamat       text not null,
  kode_wilayah text not null collate "C",
  revision     int not null default 1,
  created_at   timestamptz not null
);

create table penduduk (
  id                uuid primary key,
  nik               text not null collate "C" constraint penduduk_nik unique,
  nama              text not null,
  alamat            text not null,
  -- "C", so that a prefix is a range of the index.
  kode_wilayah      text not null collate "C",
  tanggal_lahir     date not null,
  tempat_lahir      text not null,
  pekerjaan         text not null,
  rt                text not null,
  rw                text not null,
  nama_ibu          text not null,
  nama_ayah         text not null,
  -- Numbers of the enums in penduduk.proto.
  jenis_kelamin     smallint not null,
  agama             smallint not null,
  status_perkawinan smallint not null,
  golongan_darah    smallint not null,
  status            smallint not null,
  shdk              smallint not null default 0,
  kartu_keluarga    uuid references kartu_keluarga,
  revision          int not null default 1,
  -- The hub's number of this record; 0 for one that only this registry knows.
  versi             bigint not null default 0,
  created_at        timestamptz not null,
  updated_at        timestamptz not null
);
create index penduduk_wilayah on penduduk (kode_wilayah, id);
create index penduduk_kartu_keluarga on penduduk (kartu_keluarga) where kartu_keluarga is not null;
create index penduduk_nama on penduduk using gin (nama gin_trgm_ops);

-- Last serial given out for the first 12 digits of a NIK or a nomor KK. The row lock makes two issuers take turns.
create table serial (
  kind   text not null check (kind in ('nik', 'kk')),
  prefix text not null,
  serial int not null,
  primary key (kind, prefix)
);
