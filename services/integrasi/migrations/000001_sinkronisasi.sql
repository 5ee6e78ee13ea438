-- Runs of the synchronisation, how far each of their parts has come, and what was put aside.

create table sinkronisasi (
  id            uuid primary key,                                -- UUIDv7: the newest has the greatest
  kode_wilayah  text not null collate "C",                       -- "ID" is the nation
  since_versi   bigint not null,
  as_of_versi   bigint,                                          -- null until the hub was reached
  -- Rows a batch, as it was set when the run started: a batch is known again only if its bytes are the same.
  ukuran        int not null,
  uji_coba      boolean not null,
  -- Numbers of Sinkronisasi.Keadaan in sinkronisasi.proto.
  keadaan       smallint not null,
  batas_karantina_persen smallint not null,
  pemulai       text not null,                                   -- account id, or "jadwal"
  -- As the runner sees it, written down so that any replica can tell.
  galat         text not null default '',
  laju          double precision not null default 0,             -- rows a second
  pemutus       smallint not null default 0,                     -- number of Sinkronisasi.Pemutus
  rekonsiliasi  bytea,                                           -- a lampid.integrasi.v1.Rekonsiliasi
  cocok         boolean not null default false,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  ended_at      timestamptz
);
create index sinkronisasi_belum_selesai on sinkronisasi (id) where keadaan in (1, 2, 3);
create index sinkronisasi_keadaan on sinkronisasi (keadaan, id);

-- One stream each. The cursor and the counters move together, so a row counts once however often it is sent.
create table bagian (
  sinkronisasi  uuid not null references sinkronisasi,
  kode_wilayah  text not null collate "C",
  jumlah_hub    int not null,
  cursor        text not null default '',
  baru          int not null default 0,
  diperbarui    int not null default 0,
  tak_berubah   int not null default 0,
  ditutup       int not null default 0,
  kedaluwarsa   int not null default 0,
  konflik       int not null default 0,
  ganda         int not null default 0,
  dikarantina   int not null default 0,
  dikirim_ulang int not null default 0,
  selesai       boolean not null default false,
  primary key (sinkronisasi, kode_wilayah)
) with (fillfactor = 50);                                        -- rewritten at every acknowledgement: keep that in the page

-- What is personal is in isi alone, and sealed. The plain columns hold ids, rules and codes.
create table karantina (
  id            uuid primary key,                                -- UUIDv7
  sinkronisasi  uuid not null references sinkronisasi,
  id_hub        bigint not null,
  versi         bigint not null,
  sebab         smallint not null,                               -- number of BarisDisisihkan.Sebab
  alasan        text not null,
  kolom         text not null,
  kode_wilayah  text not null collate "C",
  keadaan       smallint not null,                               -- number of Karantina.Keadaan
  isi           bytea not null,                                  -- key number, nonce, AES-256-GCM of a PendudukHub, tag
  percobaan     int not null default 0,                          -- how often a person has tried to merge it
  pemutus       text not null default '',
  created_at    timestamptz not null,
  updated_at    timestamptz not null
);
-- A row of the hub waits once, however many runs bring it.
create unique index karantina_terbuka on karantina (id_hub) where keadaan = 1;
-- What a person has decided on: the same state of the row does not wait again.
create index karantina_diputuskan on karantina (id_hub, versi) where keadaan in (2, 3);
create index karantina_keadaan on karantina (keadaan, id);
create index karantina_sinkronisasi on karantina (sinkronisasi, keadaan, id);
