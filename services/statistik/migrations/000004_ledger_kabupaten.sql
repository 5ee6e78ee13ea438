-- The cells added up by kabupaten/kota: a figure of a province or the nation would else read millions of cells a year. It is
-- no count of its own: the database makes it of whatever changes in the ledger, in the same transaction.
create table ledger_kabupaten (
  kode     text not null collate "C",
  bulan    text not null collate "C",
  komponen text not null collate "C",
  jumlah   int not null,
  primary key (kode, bulan, komponen)
);

create function add_to_ledger_kabupaten() returns trigger language plpgsql as $$
begin
  if tg_op = 'TRUNCATE' then
    truncate ledger_kabupaten;
    return null;
  end if;
  -- A batch comes here twice, for its new cells and for its old ones: two batches must not wait for each other in a circle.
  perform pg_advisory_xact_lock(7021948);
  if tg_op in ('UPDATE', 'DELETE') then
    update ledger_kabupaten k set jumlah = k.jumlah - b.jumlah
    from (select left(kode, 5) as kode, bulan, komponen, sum(jumlah) as jumlah from before group by 1, 2, 3) as b
    where (k.kode, k.bulan, k.komponen) = (b.kode, b.bulan, b.komponen);
  end if;
  if tg_op in ('INSERT', 'UPDATE') then
    insert into ledger_kabupaten as k (kode, bulan, komponen, jumlah)
    select left(kode, 5), bulan, komponen, sum(jumlah) from after group by 1, 2, 3
    on conflict (kode, bulan, komponen) do update set jumlah = k.jumlah + excluded.jumlah;
  end if;
  return null;
end $$;

create trigger ledger_inserted after insert on ledger referencing new table as after
  for each statement execute function add_to_ledger_kabupaten();
create trigger ledger_updated after update on ledger referencing old table as before new table as after
  for each statement execute function add_to_ledger_kabupaten();
create trigger ledger_deleted after delete on ledger referencing old table as before
  for each statement execute function add_to_ledger_kabupaten();
create trigger ledger_truncated after truncate on ledger
  for each statement execute function add_to_ledger_kabupaten();

insert into ledger_kabupaten
select left(kode, 5), bulan, komponen, sum(jumlah) from ledger group by 1, 2, 3;
