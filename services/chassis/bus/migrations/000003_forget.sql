-- Who has read the log for once and will not come back, as a reconciliation does, takes its place in it along.
grant delete on consumer_offset to bus_user;
