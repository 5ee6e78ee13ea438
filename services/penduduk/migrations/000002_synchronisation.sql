-- What the registry knows of the central hub beside its residents (docs/decisions/0011).

alter table penduduk
  -- The hub's number of the row this resident comes from; null for one that only this registry knows.
  add column id_hub bigint,
  -- Id of the last event of a change made here that no row of the hub has acknowledged: until one does, none overwrites.
  add column perubahan_lokal uuid,
  -- Room on each page for a new state of its rows: an update that changes no indexed column then touches no index.
  set (fillfactor = 90);
update penduduk set perubahan_lokal = id where versi = 0;
create unique index penduduk_id_hub on penduduk (id_hub) where id_hub is not null;

-- Rows of the hub that are not in the registry as the hub says them. Keys and hashes only: the rows themselves are with
-- integrasi, sealed. Counted with the residents when the registry is compared with the hub.
create table hub_disisihkan (
  id_hub       bigint primary key,
  versi        bigint not null,
  -- First 8 bytes of SHA-256 of "<nik>:<versi>" as the hub has them, as a signed number.
  sidik        bigint not null,
  -- As it came.
  kode_wilayah text not null collate "C",
  -- Number of the enum BarisDisisihkan.Sebab.
  sebab        smallint not null,
  -- The resident whom the row is about, and in whose place it counts; null when it counts besides.
  penduduk     uuid references penduduk,
  created_at   timestamptz not null default now()
);
create index hub_disisihkan_penduduk on hub_disisihkan (penduduk) where penduduk is not null;

-- Answers to the batches of the last days: a batch that comes again gets its answer again.
create table penggabungan_batch (
  sinkronisasi text not null,                                    -- the run
  bagian       text not null,                                    -- part of it
  dari         text not null,                                    -- cursor before the batch
  crc32        bigint not null,                                  -- of its bytes
  jawaban      bytea not null,                                   -- MergePendudukResponse
  created_at   timestamptz not null default now(),
  primary key (sinkronisasi, bagian, dari)
);
create index penggabungan_batch_age on penggabungan_batch (created_at);
