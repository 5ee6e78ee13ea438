-- What is forwarded to the systems outside. Ids alone: a resident is read when they are sent, as they are then.

-- One change of one resident to one system.
create table pengiriman (
  id            uuid primary key,                                -- UUIDv7: the newest has the greatest
  -- Of one resident the first goes first.
  urutan        bigint not null generated always as identity,
  peristiwa     uuid not null,                                   -- the event in the registry
  sistem        smallint not null,                               -- number of PengirimanPeristiwa.Sistem
  penduduk      uuid not null,
  laporan       text not null,                                   -- "laporan/{uuid}", "" where there is none
  jenis         smallint not null,                               -- number of Pengiriman.Jenis
  status        smallint not null,                               -- number of PengirimanPeristiwa.Status
  percobaan     int not null default 0,
  alasan        text not null default '',
  waktu         timestamptz not null,                            -- when it happened in the registry
  next_try_at   timestamptz not null,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  unique (peristiwa, sistem, penduduk)
);
create index pengiriman_menunggu on pengiriman (sistem, urutan) where status = 1;
create index pengiriman_penduduk on pengiriman (penduduk, urutan) where status = 1;
create index pengiriman_status on pengiriman (status, id);
create index pengiriman_laporan_nama on pengiriman (laporan, id) where laporan <> '';
create index pengiriman_usia on pengiriman (updated_at) where status = 2 and laporan = '';

-- Where the forwarding of a report's event to one system stands as a whole, as the mesh was told.
create table pengiriman_laporan (
  peristiwa     uuid not null,
  sistem        smallint not null,
  laporan       text not null,
  traceparent   text not null,                                   -- of what brought it about
  status        smallint not null default 0,                     -- number of PengirimanPeristiwa.Status; 0: nothing was told yet
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  primary key (peristiwa, sistem)
);
create index pengiriman_laporan_baru on pengiriman_laporan (sistem, created_at) where status = 0;
