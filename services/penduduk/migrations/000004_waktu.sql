-- The history says until when a state held, so a row never ends before the state that came before it: who waited for a lock, or
-- whose clock is behind, changed it no earlier than who came first. Checked for each row, and called for almost none.
create function waktu_maju() returns trigger language plpgsql as $$
begin
  new.updated_at := old.updated_at;
  return new;
end $$;
create trigger penduduk_waktu before update on penduduk for each row
  when (new.updated_at < old.updated_at) execute function waktu_maju();
create trigger kartu_keluarga_waktu before update on kartu_keluarga for each row
  when (new.updated_at < old.updated_at) execute function waktu_maju();
