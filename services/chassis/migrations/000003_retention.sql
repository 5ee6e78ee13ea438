-- The audit can be shortened, at its old end and in one way alone: by who says so in the same transaction
-- (services/chassis/retention.ts, off unless LAMPID_RETENTION_AUDIT_DAYS is set), and never a row of the last five years.

create or replace function refuse_audit_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if current_setting('lampid.audit_retention', true) = 'on' and old.created_at < now() - interval '5 years' then
      return old;
    end if;
  end if;
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end $$;
