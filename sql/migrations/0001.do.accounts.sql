-- People and their sessions.

create table users (
  id uuid primary key default gen_random_uuid(),
  -- canonical form, made once by the service; "C" keeps the check free of locales
  email text not null,
  name text not null,
  -- argon2id; null (an account made with plain SQL) cannot sign in
  password_hash text,
  -- counts changes of the password; the same one hashed anew is no change
  password_version integer not null default 0,
  created_at timestamptz not null default now(),
  constraint users_email_key unique (email),
  constraint users_email_canonical check (
    length(email) <= 254 and email collate "C" ~ '^[!-?A-~]+@[!-?A-~]+$' and email collate "C" !~ '[A-Z]'
  ),
  constraint users_name_length check (length(name) between 1 and 200 and name = btrim(name))
);

create table sessions (
  id uuid primary key,
  user_id uuid not null references users on delete cascade,
  -- how often the refresh token was rotated; the token itself is never stored
  counter integer not null default 0,
  rotated_at timestamptz,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  absolute_expires_at timestamptz not null,
  revoked_at timestamptz,
  -- why it ended: signed_out, reused, replaced, evicted, revoked, password_changed; clients see it in session.ended
  revoked_reason text,
  ip text not null default '',
  user_agent text not null default ''
);

create index sessions_user on sessions (user_id);
create index sessions_expires on sessions (expires_at);

-- What too many of are refused. Unlogged: counting costs no flush to disk, and a crash may forget it.
create unlogged table throttles (
  key text primary key,
  count integer not null,
  allowed integer not null,
  resets_at timestamptz not null
);
