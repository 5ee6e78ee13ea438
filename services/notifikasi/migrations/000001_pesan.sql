-- Messages to officers and their delivery.
create table pesan (
  id            uuid primary key,
  kanal         text not null,
  templat       text not null,
  kode_wilayah  text not null collate "C",
  isi           text not null,
  -- Numbers of Pesan.Status in notifikasi_service.proto.
  status        smallint not null,
  percobaan     int not null default 0,
  kesalahan     text not null default '',
  next_try_at   timestamptz not null,
  created_at    timestamptz not null,
  delivered_at  timestamptz
);
create index pesan_queue on pesan (next_try_at, id) where status = 1;
create index pesan_wilayah on pesan (kode_wilayah, id);
