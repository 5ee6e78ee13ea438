-- What approved reports did to the registry, how to take it back, and how families were before.

alter table serial drop constraint serial_kind_check;
alter table serial add constraint serial_kind_check check (kind in ('nik', 'kk', 'akta', 'surat_pindah'));

-- Events of reports that took effect. Kept for ever: the key is what makes an effect happen once.
create table peristiwa (
  id         uuid primary key,
  laporan    uuid not null,
  -- Number of the enum PeristiwaBerlaku.Jenis.
  jenis      smallint not null,
  sidik      bytea not null,                                     -- SHA-256 of the request
  jawaban    bytea not null,                                     -- ApplyPeristiwaResponse
  -- Where residents and family cards were before and after, as far as the event changed it: what a revocation goes by.
  jejak      jsonb not null,
  -- When it was approved, and when it took effect here.
  waktu      timestamptz not null,
  created_at timestamptz not null,
  urutan     bigint generated always as identity
);
create index peristiwa_laporan on peristiwa (laporan, urutan);

-- Certificates of births and deaths.
create table akta (
  nomor    text primary key,
  penduduk uuid not null references penduduk,
  laporan  uuid not null unique,
  -- Of the birth or the death.
  tanggal  date not null,
  -- Of a birth: the mother, null for a foundling, and which child of hers this is; twins differ in it.
  ibu      uuid references penduduk,
  urutan   smallint,
  dicabut  boolean not null default false
);
create unique index akta_kelahiran on akta (ibu, tanggal, urutan) where not dicabut;

-- Transfers: who left under which surat keterangan pindah. Between kota/kabupaten (SKPWNI) they are in transit while it is
-- open; abroad (SKPLN) it is open while they are there.
create table perpindahan (
  id                  uuid primary key,
  nomor               text not null constraint perpindahan_nomor unique,
  laporan             uuid not null constraint perpindahan_laporan unique,
  kartu_asal          uuid not null references kartu_keluarga,
  kode_wilayah_asal   text not null collate "C",
  -- "" abroad.
  kode_wilayah_tujuan text not null collate "C",
  alamat_tujuan       text not null,
  -- 1 open, 2 arrived, 3 came back, 4 revoked.
  status              smallint not null check (status between 1 and 4),
  berangkat           timestamptz not null,
  selesai             timestamptz
);
create table perpindahan_anggota (
  perpindahan uuid not null references perpindahan,
  penduduk    uuid not null references penduduk,
  -- In the card of origin.
  shdk        smallint not null,
  primary key (perpindahan, penduduk)
);
create index perpindahan_anggota_penduduk on perpindahan_anggota (penduduk);

-- How residents and cards were: a row is a state that has ended, when it ended. The state at a time is the first that ended
-- after it, else the present one. Written by triggers, so that no way to change a row forgets it, the merge of the hub's
-- rows in bulk neither; rows that are inserted, and updates that change neither card nor relation, cost next to nothing.
-- Without foreign keys: nothing is ever deleted, and a check for each row would be most of the work.
create table riwayat_keanggotaan (
  penduduk       uuid not null,
  -- Null: in none.
  kartu_keluarga uuid,
  shdk           smallint not null,
  sampai         timestamptz not null,
  urutan         bigint generated always as identity
);
create index riwayat_keanggotaan_penduduk on riwayat_keanggotaan (penduduk, sampai, urutan);
create index riwayat_keanggotaan_kartu on riwayat_keanggotaan (kartu_keluarga) where kartu_keluarga is not null;

create table riwayat_kartu_keluarga (
  kartu_keluarga uuid not null,
  alamat         text not null,
  kode_wilayah   text not null collate "C",
  sampai         timestamptz not null,
  urutan         bigint generated always as identity
);
create index riwayat_kartu_keluarga_kartu on riwayat_kartu_keluarga (kartu_keluarga, sampai, urutan);

-- Null: as it was made.
alter table kartu_keluarga add column updated_at timestamptz;

-- Only the living are members: whoever is in a card with another status was not in it.
create function catat_keanggotaan() returns trigger language plpgsql as $$
begin
  insert into riwayat_keanggotaan (penduduk, kartu_keluarga, shdk, sampai)
  values (old.id, case when old.status = 1 then old.kartu_keluarga end, old.shdk, new.updated_at);
  return null;
end $$;
create trigger penduduk_keanggotaan after update on penduduk for each row
  when (old.kartu_keluarga is distinct from new.kartu_keluarga or old.shdk <> new.shdk
        or (old.status = 1) <> (new.status = 1))
  execute function catat_keanggotaan();

create function catat_kartu_keluarga() returns trigger language plpgsql as $$
begin
  insert into riwayat_kartu_keluarga (kartu_keluarga, alamat, kode_wilayah, sampai)
  values (old.id, old.alamat, old.kode_wilayah, new.updated_at);
  return null;
end $$;
create trigger kartu_keluarga_riwayat after update on kartu_keluarga for each row
  when (old.alamat <> new.alamat or old.kode_wilayah <> new.kode_wilayah)
  execute function catat_kartu_keluarga();
