-- The event log of the embedded profile. Services publish and subscribe as members of bus_user.

create table event (
  topic       text not null,
  key         text not null,
  id          uuid not null,
  source      text not null,
  type        text not null,
  subject     text not null,
  time        timestamptz not null,
  traceparent text not null,
  data        bytea not null,
  -- Readers go by (xid, position) and only below pg_snapshot_xmin: see outbox.
  xid         xid8 not null default pg_current_xact_id(),
  position    bigint not null generated always as identity,
  primary key (topic, xid, position)
);

-- How far a group has handled a topic.
create table consumer_offset (
  topic      text not null,
  consumer   text not null,
  xid        xid8 not null default '0',
  position   bigint not null default 0,
  updated_at timestamptz not null default now(),
  primary key (topic, consumer)
);

grant select, insert on event to bus_user;
grant select, insert, update on consumer_offset to bus_user;
