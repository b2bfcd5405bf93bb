-- What an account owes to each destination (scheme, host and port), so that one that is dead cannot take the place of the others.
-- `dropped` are the callbacks that had no place and that no event has told of yet; `told_at` is when one last did.
CREATE TABLE outbox_destinations (
    account TEXT NOT NULL REFERENCES accounts(id),
    origin  TEXT NOT NULL,
    pending INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0,
    told_at INTEGER,
    PRIMARY KEY (account, origin)
) STRICT, WITHOUT ROWID;

-- A lane is "ACCOUNT room ROOM ORIGIN" or "ACCOUNT call CALL ORIGIN", the ids being UUIDs of 36 characters.
INSERT INTO outbox_destinations (account, origin, pending)
    SELECT account, substr(lane, 80), count(*) FROM outbox WHERE state = 'pending' GROUP BY account, substr(lane, 80);

-- Columns and a table that nothing wrote. Why a call or room ended is one word; a dialect's number for it follows from that.
DROP INDEX calls_by_parent;
ALTER TABLE calls DROP COLUMN parent;
ALTER TABLE calls DROP COLUMN endpoint_id;
ALTER TABLE calls DROP COLUMN trunk;
ALTER TABLE calls DROP COLUMN sip_call_id;
ALTER TABLE calls DROP COLUMN hangup_code;
ALTER TABLE calls DROP COLUMN hangup_source;
ALTER TABLE calls DROP COLUMN sip_status;
ALTER TABLE calls DROP COLUMN sip_reason;
ALTER TABLE rooms DROP COLUMN termination_code;
DROP TABLE recordings;

CREATE INDEX rooms_by_sub_account ON rooms(account, sub_account, created_at) WHERE sub_account IS NOT NULL;
