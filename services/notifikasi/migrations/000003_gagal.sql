-- What was given up is looked for by people, and is rare among all that was delivered.
create index pesan_gagal on pesan (id) where status = 3;
