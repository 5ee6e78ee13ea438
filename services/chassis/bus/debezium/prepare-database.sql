-- What PostgreSQL needs before Debezium can read the outbox of one service: run once by a superuser, in the database of
-- that service, on a server with wal_level = logical. The role's password is set apart (\password lampid_cdc).

-- May read what every publication of the server publishes, and owns nothing. It needs no right on the table itself, since
-- it takes no snapshot.
create role lampid_cdc login replication;

-- PUBLIC may not connect to the databases of the mesh.
do $$ begin execute format('grant connect on database %I to lampid_cdc', current_database()); end $$;

-- The outbox alone, and only what is added to it: rows that are deleted later are no events.
create publication lampid_outbox for table outbox with (publish = 'insert');
