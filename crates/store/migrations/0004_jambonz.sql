-- What hooks of the jambonz dialect are signed with, and what only that dialect knows of an account.
ALTER TABLE accounts ADD COLUMN webhook_secret TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
UPDATE accounts SET webhook_secret = 'wh_secret_' || lower(hex(randomblob(16)));

-- Endpoints and numbers have UUIDs beside their own ids, as applications and trunks have.
ALTER TABLE endpoints ADD COLUMN sid TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN calls_apps INTEGER NOT NULL DEFAULT 1;
ALTER TABLE endpoints ADD COLUMN calls_queues INTEGER NOT NULL DEFAULT 1;
ALTER TABLE endpoints ADD COLUMN calls_users INTEGER NOT NULL DEFAULT 1;
UPDATE endpoints SET sid = lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
    || '-' || substr('89ab', 1 + abs(random() % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)));
CREATE UNIQUE INDEX endpoints_by_sid ON endpoints(sid);

ALTER TABLE numbers ADD COLUMN sid TEXT NOT NULL DEFAULT '';
UPDATE numbers SET sid = lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
    || '-' || substr('89ab', 1 + abs(random() % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)));
CREATE UNIQUE INDEX numbers_by_sid ON numbers(sid);

-- The gateways that a trunk's sources and host were written as.
ALTER TABLE trunks ADD COLUMN gateways TEXT NOT NULL DEFAULT '[]';

-- Keys that are nothing but a token. Without an account: the operator's.
CREATE TABLE bearer_keys (
    sid          TEXT PRIMARY KEY,
    account      TEXT REFERENCES accounts(id),
    hash         TEXT NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX bearer_keys_by_account ON bearer_keys(account, created_at);

-- Rooms that connect two calls, and that nobody named.
ALTER TABLE rooms ADD COLUMN unnamed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX events_warnings ON events(account, created_at) WHERE kind = 'warning';
CREATE INDEX calls_recent ON calls(account, ended_at) WHERE state = 'ended';
