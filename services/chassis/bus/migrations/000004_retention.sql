-- Events can leave the log at its old end (services/chassis/bus/retention.ts), but those of which statistik makes its figures
-- stay: a new store is filled from them (docs/decisions/0008). That is for the database to see to.
grant delete on event to bus_user;
create policy figures_stay on event as restrictive for delete to bus_user
  using (topic not in ('pendaftaran-events', 'penduduk-events', 'sinkronisasi-events') and time < now() - interval '30 days');
