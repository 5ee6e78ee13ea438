-- Accounts of the embedded identity provider, its keys, and what it has to remember between two requests.

create table account (
  id            uuid primary key default gen_random_uuid(),      -- claim "sub"
  username      text not null unique check (username = lower(username)),
  role          text not null
    check (role in ('operator', 'supervisor', 'admin_kota', 'admin_pusat', 'auditor')),
  -- An empty wilayah must be impossible, not merely denied: it would be a prefix of everything.
  wilayah       text not null
    check (wilayah = 'ID' or wilayah ~ '^[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?$'),
  password_hash text not null,                                   -- $scrypt$ln=14,r=8,p=5$salt$hash
  demo          boolean not null default false,
  disabled_at   timestamptz,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now()
);

-- Made once, by whichever process comes first: signing keys, cookie keys, the secret of the first-party client.
create table issuer_secret (
  name       text primary key,
  value      jsonb not null,
  created_at timestamptz not null default now()
);

-- oidc-provider's sessions, interactions, grants, codes and refresh tokens. Access tokens are JWTs and stored nowhere.
create table oidc_state (
  kind       text not null,
  id         text not null,
  payload    jsonb not null,
  grant_id   text,
  uid        text,
  expires_at timestamptz not null,
  primary key (kind, id)
);
create index oidc_state_grant on oidc_state (grant_id) where grant_id is not null;
create index oidc_state_uid on oidc_state (uid) where uid is not null;
create index oidc_state_age on oidc_state (expires_at);
