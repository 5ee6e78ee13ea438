-- Reports: their events, which are the truth; what they say; and the state that is read, which can be made again from both.

-- What happened is never changed: a correction is another event.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end $$;

create table peristiwa (
  laporan  uuid not null,
  -- From 1. The key is the optimistic lock: of two that add the same number, one fails.
  versi    int not null check (versi > 0),
  jenis    text not null,
  pelaku   text not null,                                        -- account id
  tingkat  text not null,                                        -- their role then
  waktu    timestamptz not null,
  alasan   text not null default '',
  -- What else the event says; no personal data.
  data     jsonb not null,
  -- Readers of all events go by (xid, position) and only below pg_snapshot_xmin: see outbox.
  xid      xid8 not null default pg_current_xact_id(),
  position bigint not null generated always as identity,
  constraint peristiwa_versi primary key (laporan, versi)
);
create index peristiwa_order on peristiwa (xid, position);
create trigger append_only before update or delete on peristiwa for each row execute function refuse_change();
create trigger append_only_all before truncate on peristiwa execute function refuse_change();

-- What the report says after a submission or a correction, an IsiLaporan. `sensitif` is a second one, with the fields alone
-- that are kept apart (mother's name, telephone, email, addresses), so that it can be sealed; both together are the whole.
create table isi_laporan (
  laporan  uuid not null,
  versi    int not null,
  isi      bytea not null,
  sensitif bytea not null,
  primary key (laporan, versi),
  foreign key (laporan, versi) references peristiwa
);

-- The state, for lists; written in the transaction of its event.
create table laporan (
  id              uuid primary key,
  versi           int not null,
  nomor           text not null constraint laporan_nomor unique,
  jenis           text not null,
  status          text not null,
  kode_wilayah    text not null collate "C",
  -- The inbox of a level is one value of one of these columns.
  kecamatan       text not null collate "C" generated always as (left(kode_wilayah, 8)) stored,
  kabupaten       text not null collate "C" generated always as (left(kode_wilayah, 5)) stored,
  tanggal         date not null,                                 -- civil date of the first submission
  terlambat       boolean not null,
  nomor_keputusan text not null,
  pengaju         text not null,
  pemverifikasi   text not null,
  pengesah        text not null,
  created_at      timestamptz not null,
  updated_at      timestamptz not null
) with (fillfactor = 90);
create index laporan_kelurahan on laporan (kode_wilayah, status, created_at, id);
create index laporan_kecamatan on laporan (kecamatan, status, created_at, id);
create index laporan_kabupaten on laporan (kabupaten, status, created_at, id);
create index laporan_umur on laporan (created_at, id);

-- Last serial given to a number of this prefix.
create table nomor (
  prefix text primary key,
  serial int not null
);

-- Who read and wrote what is never rewritten.
create trigger append_only before update or delete on audit for each row execute function refuse_change();
create trigger append_only_all before truncate on audit execute function refuse_change();
