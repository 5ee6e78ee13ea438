-- What approved reports do to the registry: commands on their way to it, and moves whose members are in transit.

-- How far the effect of the report is; '' before it was approved. Written in the transaction of its event, as the rest of the row.
alter table laporan add column efek text not null default '';
update laporan set efek = 'menunggu' where status = 'disahkan';
-- What waits for a person.
create index laporan_efek_gagal on laporan (kabupaten, created_at, id) where efek = 'gagal';

-- A command is written in the transaction of the event that gives it, and is settled in the transaction of the event that its
-- answer is. What it says is in the events.
create table perintah_efek (
  -- Id of the event; by it the registry takes the command once.
  id           uuid primary key,
  laporan      uuid not null,
  -- Number of the event that gave it.
  versi        int not null,
  created_at   timestamptz not null default now(),
  traceparent  text not null,
  percobaan    int not null default 0,
  coba_lagi_at timestamptz not null default now(),
  -- Why the last try brought no answer, for a developer; no personal data.
  galat        text not null default '',
  settled_at   timestamptz,
  unique (laporan, versi),
  foreign key (laporan, versi) references peristiwa
);
-- Commands of one report go one after the other: a second one is given when the first is answered.
create unique index perintah_efek_terbuka on perintah_efek (laporan) where settled_at is null;
create index perintah_efek_antrean on perintah_efek (coba_lagi_at) where settled_at is null;

-- What was approved before there was an effect takes effect, too.
insert into perintah_efek (id, laporan, versi, traceparent)
select gen_random_uuid(), id, versi, '00-' || md5(id::text) || '-' || left(md5(nomor), 16) || '-00'
from laporan where status = 'disahkan';

-- Reports by which members are in transit, for the time-out; written in the transaction of the event that says so.
create table perpindahan (
  laporan    uuid primary key,
  -- When the move was approved: the surat keterangan pindah is good from then on.
  sejak      timestamptz not null,
  -- Not looked at before; later than the time-out where the registry could not say.
  periksa_at timestamptz not null,
  -- They have arrived, or came back.
  selesai_at timestamptz
);
create index perpindahan_terbuka on perpindahan (periksa_at) where selesai_at is null;
