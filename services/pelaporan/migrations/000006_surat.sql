-- By its number, a move is found again whose members are on the way once more because their arrival is revoked.
alter table perpindahan add column nomor_surat text not null default '';
update perpindahan p set nomor_surat = coalesce((
  select data->'hasil'->>'nomorSuratPindah' from peristiwa e
  where e.laporan = p.laporan and e.jenis = 'berlaku' and e.data->>'perintah' = 'pengesahan' order by e.versi limit 1), '');
create index perpindahan_surat on perpindahan (nomor_surat) where nomor_surat <> '';

-- Who is on the way for too long is found by since when: by when they were last looked at, each look read all who are on the way.
create index perpindahan_lama on perpindahan (sejak) where selesai_at is null;
drop index perpindahan_terbuka;
