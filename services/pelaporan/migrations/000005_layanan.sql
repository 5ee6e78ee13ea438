-- The service target: when a report should have come to its end, since when it stands where it stands, and the levels at which it was
-- escalated. Part of the state of lists: made again from the events as all of it.
alter table laporan
  add column jatuh_tempo timestamptz,
  add column sejak timestamptz,
  add column eskalasi text[] not null default '{}';
update laporan l set jatuh_tempo = created_at + interval '2 hours', sejak = coalesce(
  (select max(waktu) from peristiwa p where p.laporan = l.id and p.jenis in
    ('diajukan', 'diverifikasi', 'disahkan', 'dikembalikan', 'diajukan_kembali', 'ditolak', 'dibatalkan', 'dicabut')),
  created_at);
alter table laporan alter column jatuh_tempo set not null, alter column sejak set not null;
create index laporan_jatuh_tempo on laporan (jatuh_tempo, id) where status in ('diajukan', 'diverifikasi', 'dikembalikan');
