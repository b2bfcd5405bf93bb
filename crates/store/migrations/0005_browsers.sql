-- What lets people into calls from a browser: an invitation lets one in, once; a link leads customers to an application.
CREATE TABLE invitations (
    hash       TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts(id),
    room       TEXT NOT NULL,
    role       TEXT NOT NULL,
    label      TEXT,
    made_by    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_account ON invitations(account, expires_at);

CREATE TABLE links (
    account      TEXT NOT NULL REFERENCES accounts(id),
    id           TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    app_id       TEXT,
    number       TEXT,
    label        TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, app_id) REFERENCES applications(account, app_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX links_by_name ON links(account, name);
CREATE INDEX links_by_app ON links(account, app_id) WHERE app_id IS NOT NULL;

-- The last events of one room.
CREATE INDEX events_of_room ON events(account, room, id) WHERE room IS NOT NULL;
