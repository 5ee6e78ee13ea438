-- What every service has in its own database: outbox, inbox, audit, idempotency.

-- Events that committed with the state they tell of. The first five columns are those of Debezium's outbox event router.
create table outbox (
  id            uuid primary key,
  aggregatetype text not null,                                   -- topic
  aggregateid   text not null,                                   -- key: events of one key keep their order
  type          text not null,                                   -- full name of the Protobuf message
  payload       bytea not null,                                  -- the message
  subject       text not null,                                   -- resource name
  traceparent   text not null,
  created_at    timestamptz not null,
  -- Position of the commit: rows are read in this order and only below pg_snapshot_xmin(pg_current_snapshot()), or a
  -- transaction that commits late would be skipped.
  xid           xid8 not null default pg_current_xact_id(),
  position      bigint not null generated always as identity
);
create index outbox_order on outbox (xid, position);

-- How far the relay has published.
create table outbox_cursor (
  only_row boolean primary key default true check (only_row),
  xid      xid8 not null default '0',
  position bigint not null default 0
);
insert into outbox_cursor default values;

-- Events that took effect here; the primary key is what makes an effect happen once.
create table inbox (
  consumer    text not null,
  event_id    uuid not null,
  received_at timestamptz not null default now(),
  primary key (consumer, event_id)
);

-- Who did what, when. Ids only.
create table audit (
  id          bigint generated always as identity primary key,
  created_at  timestamptz not null,
  subject     text not null,                                     -- account id
  role        text not null,
  action      text not null,                                     -- method
  resource    text not null,                                     -- resource name
  wilayah     text not null,
  traceparent text not null
);

-- First answers, by caller and request_id: the same request gets the same answer again.
create table idempotency (
  subject     text not null,
  request_id  uuid not null,
  fingerprint bytea not null,                                    -- SHA-256 of method and request
  response    bytea not null,                                    -- the answer, a Protobuf message
  created_at  timestamptz not null default now(),
  primary key (subject, request_id)
);
create index idempotency_age on idempotency (created_at);
