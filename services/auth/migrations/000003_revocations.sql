-- Which accounts changed lately: those who verify tokens offline ask for it, every few seconds.

-- When the row was written, which is after the change; created_at is when it was asked for, and a token issued in between is of before.
-- By this clock alone, whichever process wrote. Rows from before this migration have none: tokens of that time run out by themselves.
alter table audit add column recorded_at timestamptz;
alter table audit alter column recorded_at set default clock_timestamp();
create index audit_account_change on audit (recorded_at) where action like 'lampid.auth.v1.AccountService/%';
