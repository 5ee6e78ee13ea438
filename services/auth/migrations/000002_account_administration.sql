-- Accounts that somebody administers: made without a password, given an initial one, suspended.

-- None: nobody signs in.
alter table account alter column password_hash drop not null;
-- Set by an administrator: good for choosing another one, and for nothing else.
alter table account add column password_expired boolean not null default false;
-- By an administrator. disabled_at is for the demo accounts, which every start switches on or off.
alter table account add column suspended_at timestamptz;
