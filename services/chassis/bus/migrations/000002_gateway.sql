-- The front door tells of its legacy routes. It is the process that is attacked first, so it may write its own topic alone,
-- and read nothing: an event of another topic from there would be a resident who does not exist.

alter table event enable row level security;
create policy members on event to bus_user using (true) with check (true);
create policy front_door on event for insert to gateway with check (topic = 'operasi-events');
grant insert on event to gateway;
