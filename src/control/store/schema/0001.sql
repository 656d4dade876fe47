-- Version 1. Plain SQL for both databases: text, whole numbers, no serial columns. Money is in nano-USD, time in milliseconds since 1970 (UTC).
-- Numbers that other systems want (a key's `number`) are the revision of the change that made the row.

CREATE TABLE changes (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  revision BIGINT NOT NULL CHECK (revision >= 0),
  forgotten BIGINT NOT NULL CHECK (forgotten >= 0)
);

INSERT INTO changes (one, revision, forgotten) VALUES (1, 0, 0);

CREATE TABLE audit (
  revision BIGINT PRIMARY KEY,
  at_ms BIGINT NOT NULL CHECK (at_ms > 0),
  actor TEXT NOT NULL CHECK (actor <> ''),
  action TEXT NOT NULL CHECK (action <> ''),
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
);

CREATE INDEX audit_by_subject ON audit (subject, revision);

-- Keys whose record has changed, for whoever holds a copy. One change may touch many keys.
CREATE TABLE revocations (
  revision BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  key_sha256 TEXT NOT NULL CHECK (length(key_sha256) = 64),
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (revision, key_sha256)
);

CREATE TABLE users (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  number BIGINT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  email TEXT,
  plan TEXT NOT NULL CHECK (plan IN ('default', 'invoice')),
  credit_limit_nano BIGINT CHECK (credit_limit_nano >= 0),
  created_ms BIGINT NOT NULL,
  deleted_ms BIGINT
);

CREATE TABLE organizations (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  number BIGINT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  requests_per_minute BIGINT CHECK (requests_per_minute BETWEEN 0 AND 4294967295),
  tokens_per_minute BIGINT CHECK (tokens_per_minute >= 0),
  concurrent_requests BIGINT CHECK (concurrent_requests BETWEEN 0 AND 4294967295),
  created_ms BIGINT NOT NULL,
  deleted_ms BIGINT
);

CREATE TABLE members (
  organization_id TEXT NOT NULL REFERENCES organizations (id),
  user_id TEXT NOT NULL REFERENCES users (id),
  role TEXT NOT NULL CHECK (role IN ('owner', 'manager', 'reader')),
  created_ms BIGINT NOT NULL,
  deleted_ms BIGINT,
  PRIMARY KEY (organization_id, user_id)
);

CREATE UNIQUE INDEX members_one_owner ON members (organization_id) WHERE role = 'owner' AND deleted_ms IS NULL;
CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE key_groups (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  number BIGINT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  deleted_ms BIGINT
);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  number BIGINT NOT NULL UNIQUE,
  key_sha256 TEXT NOT NULL UNIQUE CHECK (length(key_sha256) = 64),
  prefix TEXT NOT NULL CHECK (length(prefix) <= 8),
  last_four TEXT NOT NULL CHECK (length(last_four) <= 4),
  secret_sha256 TEXT CHECK (length(secret_sha256) = 64),
  name TEXT NOT NULL,
  email TEXT,
  role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
  user_id TEXT REFERENCES users (id),
  group_id TEXT REFERENCES key_groups (id),
  requests_per_minute BIGINT CHECK (requests_per_minute BETWEEN 0 AND 4294967295),
  tokens_per_minute BIGINT CHECK (tokens_per_minute >= 0),
  concurrent_requests BIGINT CHECK (concurrent_requests BETWEEN 0 AND 4294967295),
  expires_ms BIGINT CHECK (expires_ms >= 0),
  enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  deleted_ms BIGINT
);

CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE INDEX api_keys_by_group ON api_keys (group_id);

CREATE TABLE key_organizations (
  key_id TEXT NOT NULL REFERENCES api_keys (id),
  organization_id TEXT NOT NULL REFERENCES organizations (id),
  position BIGINT NOT NULL CHECK (position >= 0),
  PRIMARY KEY (key_id, organization_id)
);

CREATE INDEX key_organizations_by_organization ON key_organizations (organization_id);

-- Permissions name models by pattern, so that one can be given before its model is known.
CREATE TABLE key_models (
  key_id TEXT NOT NULL REFERENCES api_keys (id),
  model TEXT NOT NULL CHECK (model <> ''),
  PRIMARY KEY (key_id, model)
);

CREATE TABLE group_models (
  group_id TEXT NOT NULL REFERENCES key_groups (id),
  model TEXT NOT NULL CHECK (model <> ''),
  PRIMARY KEY (group_id, model)
);

CREATE TABLE key_tags (
  key_id TEXT NOT NULL REFERENCES api_keys (id),
  tag TEXT NOT NULL CHECK (tag <> ''),
  PRIMARY KEY (key_id, tag)
);

-- The SecretKey of each deployment that may ask, besides the one of the configuration.
CREATE TABLE deployments (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  secret_sha256 TEXT NOT NULL UNIQUE CHECK (length(secret_sha256) = 64),
  enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
  created_ms BIGINT NOT NULL
);

CREATE TABLE models (
  name TEXT PRIMARY KEY CHECK (name <> ''),
  number BIGINT NOT NULL UNIQUE,
  provider TEXT NOT NULL,
  config TEXT NOT NULL,
  enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
  created_ms BIGINT NOT NULL,
  deleted_ms BIGINT
);

-- Nano-USD per million tokens, from a moment on.
CREATE TABLE model_prices (
  model TEXT NOT NULL REFERENCES models (name),
  from_ms BIGINT NOT NULL CHECK (from_ms >= 0),
  input_nano BIGINT NOT NULL CHECK (input_nano >= 0),
  output_nano BIGINT NOT NULL CHECK (output_nano >= 0),
  cache_read_nano BIGINT CHECK (cache_read_nano >= 0),
  cache_write_nano BIGINT CHECK (cache_write_nano >= 0),
  cache_write_1h_nano BIGINT CHECK (cache_write_1h_nano >= 0),
  reasoning_nano BIGINT CHECK (reasoning_nano >= 0),
  PRIMARY KEY (model, from_ms)
);

-- Whose it is, is one of three.
CREATE TABLE budgets (
  key_id TEXT UNIQUE REFERENCES api_keys (id),
  group_id TEXT UNIQUE REFERENCES key_groups (id),
  organization_id TEXT UNIQUE REFERENCES organizations (id),
  period TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
  amount_nano BIGINT NOT NULL CHECK (amount_nano > 0),
  CHECK ((key_id IS NULL AND group_id IS NULL AND organization_id IS NOT NULL)
    OR (key_id IS NULL AND group_id IS NOT NULL AND organization_id IS NULL)
    OR (key_id IS NOT NULL AND group_id IS NULL AND organization_id IS NULL))
);

-- What was spent in a period that began at `start_ms`. A period without a row has spent nothing, so none needs to be reset.
-- The payer may be a key of a keys file, which has no row of its own here.
CREATE TABLE spend (
  payer_kind TEXT NOT NULL CHECK (payer_kind IN ('key', 'group', 'organization')),
  payer_id TEXT NOT NULL CHECK (payer_id <> ''),
  period TEXT NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
  start_ms BIGINT NOT NULL CHECK (start_ms >= 0),
  spent_nano BIGINT NOT NULL,
  PRIMARY KEY (payer_kind, payer_id, period, start_ms)
);

-- Slices of a budget that sidecars hold.
CREATE TABLE leases (
  payer_kind TEXT NOT NULL CHECK (payer_kind IN ('key', 'group', 'organization')),
  payer_id TEXT NOT NULL CHECK (payer_id <> ''),
  holder TEXT NOT NULL CHECK (holder <> ''),
  amount_nano BIGINT NOT NULL CHECK (amount_nano >= 0),
  expires_ms BIGINT NOT NULL,
  -- What the holder says it has used since the period began, whether or not its events have come.
  used_nano BIGINT NOT NULL CHECK (used_nano >= 0),
  start_ms BIGINT NOT NULL,
  PRIMARY KEY (payer_kind, payer_id, holder)
);

-- May go below zero by what was in flight.
CREATE TABLE balances (
  payer_kind TEXT NOT NULL CHECK (payer_kind IN ('key', 'organization', 'user')),
  payer_id TEXT NOT NULL CHECK (payer_id <> ''),
  balance_nano BIGINT NOT NULL,
  PRIMARY KEY (payer_kind, payer_id)
);

CREATE TABLE payments (
  number BIGINT PRIMARY KEY,
  payer_kind TEXT NOT NULL,
  payer_id TEXT NOT NULL,
  amount_nano BIGINT NOT NULL CHECK (amount_nano <> 0),
  at_ms BIGINT NOT NULL,
  note TEXT NOT NULL,
  FOREIGN KEY (payer_kind, payer_id) REFERENCES balances (payer_kind, payer_id)
);

CREATE INDEX payments_by_payer ON payments (payer_kind, payer_id, number);

CREATE TABLE sessions (
  number BIGINT PRIMARY KEY,
  key_id TEXT NOT NULL CHECK (key_id <> ''),
  session_key TEXT NOT NULL CHECK (session_key <> ''),
  title TEXT NOT NULL,
  input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
  output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
  cost_nano BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  UNIQUE (key_id, session_key)
);

-- `day` counts from 1970-01-01. An absent key, organization or model is the empty text.
CREATE TABLE daily_totals (
  day BIGINT NOT NULL CHECK (day >= 0),
  key_id TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  model TEXT NOT NULL,
  requests BIGINT NOT NULL CHECK (requests >= 0),
  errors BIGINT NOT NULL CHECK (errors >= 0),
  input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
  output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
  cost_nano BIGINT NOT NULL,
  PRIMARY KEY (day, key_id, organization_id, model)
);

CREATE INDEX daily_totals_by_key ON daily_totals (key_id, day);

-- What the ledger has taken in: each event once, and how far each source was read.
CREATE TABLE applied_events (
  event_id TEXT PRIMARY KEY,
  at_ms BIGINT NOT NULL
);

CREATE INDEX applied_events_by_time ON applied_events (at_ms);

CREATE TABLE ledger_offsets (
  source TEXT NOT NULL,
  part BIGINT NOT NULL,
  position BIGINT NOT NULL CHECK (position >= 0),
  PRIMARY KEY (source, part)
);
