-- For the retention of inbox rows: the oldest go first.
create index inbox_age on inbox (received_at);
