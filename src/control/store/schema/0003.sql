-- Version 3. What each life of a sidecar has spent of a budget that it had a slice of, as its events say. A holder that
-- was killed said less than it spent; its events say the rest, and here it shows that they are its own.
CREATE TABLE life_spend (
  key_id TEXT NOT NULL CHECK (key_id <> ''),
  start_ms BIGINT NOT NULL,
  -- As in leases: what stands before the number in the ids of its events.
  holder TEXT NOT NULL CHECK (holder <> ''),
  spent_nano BIGINT NOT NULL,
  PRIMARY KEY (key_id, start_ms, holder)
);
