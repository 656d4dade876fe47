-- Version 2. What the ledger keeps besides: kinds of tokens, what was refused, what is missing, what could not be read.

ALTER TABLE daily_totals ADD COLUMN rejected BIGINT NOT NULL DEFAULT 0 CHECK (rejected >= 0);
ALTER TABLE daily_totals ADD COLUMN unpriced BIGINT NOT NULL DEFAULT 0 CHECK (unpriced >= 0);
ALTER TABLE daily_totals ADD COLUMN cache_read_tokens BIGINT NOT NULL DEFAULT 0 CHECK (cache_read_tokens >= 0);
ALTER TABLE daily_totals ADD COLUMN cache_write_tokens BIGINT NOT NULL DEFAULT 0 CHECK (cache_write_tokens >= 0);
ALTER TABLE daily_totals ADD COLUMN reasoning_tokens BIGINT NOT NULL DEFAULT 0 CHECK (reasoning_tokens >= 0);

-- What the spools say is missing. It is no usage and charges nobody.
CREATE TABLE losses (
  event_id TEXT PRIMARY KEY,
  at_ms BIGINT NOT NULL,
  spool TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  reason TEXT NOT NULL,
  first_number BIGINT,
  last_number BIGINT
);

-- Records of a topic that are no events, or none that the ledger may count; for people to look at.
CREATE TABLE dead_letters (
  source TEXT NOT NULL,
  part BIGINT NOT NULL,
  position BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  reason TEXT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (source, part, position)
);
