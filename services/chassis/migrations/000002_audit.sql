-- The audit says why and what, too; and the database itself sees to it that nothing in it is changed.

alter table audit
  -- Why, in the caller's words (header X-Purpose); empty when they did not say.
  add column keperluan text not null default '',
  -- Names of the fields that were read or written; never their values.
  add column kolom text[] not null default '{}';

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger audit_is_append_only before update or delete on audit for each row execute function refuse_audit_change();
create trigger audit_is_never_emptied before truncate on audit execute function refuse_audit_change();
-- Who asks what was done with the data of a person asks by the resource.
create index audit_resource on audit (resource, id);
