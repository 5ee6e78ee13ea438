-- For the retention of inbox rows: the oldest go first.
create index inbox_age on inbox (received_at);
-- For that of what rows in quarantine hold of a person, once they are decided on.
create index karantina_isi on karantina (updated_at) where keadaan <> 1 and isi <> ''::bytea;
