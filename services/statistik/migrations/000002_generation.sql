-- Names this database's data. How far the log is counted is remembered under that name: who loses the data loses the name
-- with it, and counts again (docs/decisions/0008).
create table generation (
  only_row     boolean primary key default true check (only_row),
  id           uuid not null default gen_random_uuid(),
  -- When all that was in the log had been counted.
  completed_at timestamptz
);

-- Counters that were served until this migration are served after it.
insert into generation (completed_at)
select now() where exists (select from inbox where consumer = 'statistik');
