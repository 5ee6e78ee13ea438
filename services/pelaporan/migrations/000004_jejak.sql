-- What reports are found by when another may tell of the same; made from what they say, and of nothing else.
create extension if not exists pg_trgm;

create table jejak (
  laporan          uuid not null,
  -- SHA-256, first half, of rule and number: the NIK of a mother, of who died or moves, a family card, a surat keterangan pindah; of
  -- a foundling the kelurahan. Nobody reads a number here at a glance; who has the contents beside it could guess them.
  kunci            bytea not null,
  -- Of a birth: date, which child, and the child's name evened out. Empty otherwise.
  lahir            date,
  urutan           smallint,
  nama             text,
  -- Of a move: in transit between approval and arrival.
  dalam_perjalanan boolean not null default false,
  primary key (laporan, kunci)
);
create index jejak_kunci on jejak (kunci, lahir);
