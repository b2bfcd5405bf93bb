-- Every table of an account starts its primary key with the account: a row of one account cannot overwrite, by any id,
-- a row of another. What must be unique across accounts (auth ids, application ids, numbers, realms) has its own index.

CREATE TABLE boots (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid  TEXT NOT NULL UNIQUE,
    clean INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id         TEXT PRIMARY KEY,
    parent     TEXT REFERENCES accounts(id),
    auth_id    TEXT NOT NULL UNIQUE,
    auth_token TEXT NOT NULL,
    name       TEXT NOT NULL,
    sip_realm  TEXT UNIQUE,
    enabled    INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_parent ON accounts(parent) WHERE parent IS NOT NULL;

CREATE TABLE sequences (
    account TEXT NOT NULL REFERENCES accounts(id),
    name    TEXT NOT NULL,
    next    INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    account      TEXT NOT NULL REFERENCES accounts(id),
    id           TEXT NOT NULL UNIQUE,
    hash         TEXT NOT NULL,
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    room_pattern TEXT,
    tag          TEXT,
    team         TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE applications (
    account              TEXT NOT NULL REFERENCES accounts(id),
    app_id               TEXT NOT NULL UNIQUE,
    sid                  TEXT NOT NULL UNIQUE,
    sub_account          TEXT REFERENCES accounts(id),
    name                 TEXT NOT NULL,
    dialect              TEXT NOT NULL,
    answer_url           TEXT NOT NULL,
    answer_method        TEXT NOT NULL,
    hangup_url           TEXT,
    hangup_method        TEXT NOT NULL,
    fallback_answer_url  TEXT,
    fallback_method      TEXT NOT NULL,
    default_number_app   INTEGER NOT NULL,
    default_endpoint_app INTEGER NOT NULL,
    public_uri           INTEGER NOT NULL,
    enabled              INTEGER NOT NULL,
    settings             TEXT NOT NULL,
    created_at           INTEGER NOT NULL,
    PRIMARY KEY (account, app_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX applications_by_name ON applications(account, name);

CREATE TABLE endpoints (
    account     TEXT NOT NULL REFERENCES accounts(id),
    endpoint_id TEXT NOT NULL UNIQUE,
    sub_account TEXT REFERENCES accounts(id),
    username    TEXT NOT NULL,
    alias       TEXT NOT NULL,
    app_id      TEXT,
    enabled     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account, endpoint_id),
    FOREIGN KEY (account, app_id) REFERENCES applications(account, app_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX endpoints_by_username ON endpoints(account, username);
CREATE INDEX endpoints_by_app ON endpoints(account, app_id) WHERE app_id IS NOT NULL;

-- A username is unique per realm; the shared realms are one name space for all accounts.
CREATE TABLE endpoint_credentials (
    realm       TEXT NOT NULL,
    username    TEXT NOT NULL,
    account     TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    ha1_md5     TEXT NOT NULL,
    ha1_sha256  TEXT NOT NULL,
    PRIMARY KEY (realm, username),
    FOREIGN KEY (account, endpoint_id) REFERENCES endpoints(account, endpoint_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_credentials_by_endpoint ON endpoint_credentials(account, endpoint_id);

CREATE TABLE bindings (
    account     TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    contact     TEXT NOT NULL,
    source      TEXT NOT NULL,
    transport   TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    cseq        INTEGER NOT NULL,
    user_agent  TEXT,
    path        TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (account, endpoint_id, contact),
    FOREIGN KEY (account, endpoint_id) REFERENCES endpoints(account, endpoint_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX bindings_by_expiry ON bindings(expires_at);

CREATE TABLE trunks (
    account              TEXT NOT NULL REFERENCES accounts(id),
    id                   TEXT NOT NULL UNIQUE,
    name                 TEXT NOT NULL,
    sources              TEXT NOT NULL,
    host                 TEXT,
    port                 INTEGER,
    transport            TEXT NOT NULL,
    username             TEXT,
    password             TEXT,
    caller_id            TEXT NOT NULL,
    allowed_prefixes     TEXT NOT NULL,
    max_calls_per_second INTEGER NOT NULL,
    max_concurrent       INTEGER NOT NULL,
    enabled              INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX trunks_by_name ON trunks(account, name);

CREATE TABLE trunk_grants (
    account              TEXT NOT NULL REFERENCES accounts(id),
    trunk                TEXT NOT NULL REFERENCES trunks(id) ON DELETE CASCADE,
    allowed_prefixes     TEXT NOT NULL,
    max_calls_per_second INTEGER NOT NULL,
    max_concurrent       INTEGER NOT NULL,
    PRIMARY KEY (account, trunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX trunk_grants_by_trunk ON trunk_grants(trunk);

CREATE TABLE numbers (
    account     TEXT NOT NULL REFERENCES accounts(id),
    number      TEXT NOT NULL UNIQUE,
    sub_account TEXT REFERENCES accounts(id),
    alias       TEXT,
    app_id      TEXT,
    trunk       TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account, number),
    FOREIGN KEY (account, app_id) REFERENCES applications(account, app_id),
    FOREIGN KEY (trunk) REFERENCES trunks(id)
) STRICT, WITHOUT ROWID;
CREATE INDEX numbers_by_app ON numbers(account, app_id) WHERE app_id IS NOT NULL;
CREATE INDEX numbers_by_trunk ON numbers(trunk) WHERE trunk IS NOT NULL;

-- `interrupted` is set at open for every row that was live then; it is never written by an upsert.
CREATE TABLE calls (
    account       TEXT NOT NULL REFERENCES accounts(id),
    id            TEXT NOT NULL,
    sub_account   TEXT,
    dialect       TEXT NOT NULL,
    direction     TEXT NOT NULL,
    "from"        TEXT NOT NULL,
    "to"          TEXT NOT NULL,
    caller_name   TEXT,
    parent        TEXT,
    request_id    TEXT,
    app_id        TEXT,
    endpoint_id   TEXT,
    trunk         TEXT,
    sip_call_id   TEXT,
    state         TEXT NOT NULL,
    status        TEXT NOT NULL,
    initiated_at  INTEGER NOT NULL,
    answered_at   INTEGER,
    ended_at      INTEGER,
    hangup_cause  TEXT,
    hangup_code   INTEGER,
    hangup_source TEXT,
    sip_status    INTEGER,
    sip_reason    TEXT,
    extra         TEXT NOT NULL,
    interrupted   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_start ON calls(account, initiated_at);
CREATE INDEX calls_live ON calls(account, initiated_at) WHERE state = 'live';
CREATE INDEX calls_by_end ON calls(ended_at) WHERE state = 'ended';
CREATE INDEX calls_by_parent ON calls(account, parent) WHERE parent IS NOT NULL;
CREATE INDEX calls_by_request ON calls(account, request_id) WHERE request_id IS NOT NULL;

CREATE TABLE rooms (
    account           TEXT NOT NULL REFERENCES accounts(id),
    id                TEXT NOT NULL,
    sub_account       TEXT,
    name              TEXT NOT NULL,
    dialect           TEXT NOT NULL,
    status            TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    started_at        INTEGER,
    ended_at          INTEGER,
    termination_cause TEXT,
    termination_code  INTEGER,
    settings          TEXT NOT NULL,
    sequence          INTEGER NOT NULL,
    interrupted       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX rooms_live_by_name ON rooms(account, name) WHERE status <> 'ended';
CREATE INDEX rooms_by_creation ON rooms(account, created_at);
CREATE INDEX rooms_by_end ON rooms(ended_at) WHERE status = 'ended';

CREATE TABLE members (
    account        TEXT NOT NULL,
    room           TEXT NOT NULL,
    number         INTEGER NOT NULL,
    member_id      INTEGER NOT NULL,
    call           TEXT NOT NULL,
    role           TEXT,
    tag            TEXT,
    address        TEXT NOT NULL,
    coach          INTEGER NOT NULL,
    mute           INTEGER NOT NULL,
    hold           INTEGER NOT NULL,
    start_on_enter INTEGER NOT NULL,
    end_on_exit    INTEGER NOT NULL,
    join_time      INTEGER NOT NULL,
    exit_time      INTEGER,
    exit_cause     TEXT,
    interrupted    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, room, number),
    FOREIGN KEY (account, room) REFERENCES rooms(account, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX members_by_member_id ON members(account, member_id);
CREATE INDEX members_by_call ON members(account, call);
CREATE INDEX members_live ON members(account, room) WHERE exit_time IS NULL;

CREATE TABLE recordings (
    account      TEXT NOT NULL REFERENCES accounts(id),
    id           TEXT NOT NULL,
    sub_account  TEXT,
    room         TEXT,
    room_name    TEXT,
    call         TEXT,
    member_id    INTEGER,
    kind         TEXT NOT NULL,
    format       TEXT NOT NULL,
    location     TEXT NOT NULL,
    state        TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    duration_ms  INTEGER,
    interrupted  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX recordings_by_start ON recordings(account, started_at);
CREATE INDEX recordings_live ON recordings(account) WHERE state = 'live';

CREATE TABLE ledger (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account    TEXT NOT NULL REFERENCES accounts(id),
    room       TEXT NOT NULL,
    shard      INTEGER NOT NULL,
    tick       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    who_kind   TEXT NOT NULL,
    who_id     TEXT NOT NULL,
    command_id TEXT,
    kind       TEXT NOT NULL,
    change     TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_room ON ledger(account, room, at);
CREATE INDEX ledger_snapshots ON ledger(account, room, at) WHERE kind = 'snapshot';

CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account    TEXT NOT NULL REFERENCES accounts(id),
    room       TEXT,
    call       TEXT,
    kind       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_account ON events(account, id);

-- `head` marks the first pending delivery of its lane: only heads are ever due. `due_at` is when it may be claimed next;
-- while claimed it is the end of the claim. `queued_at` is when it joined the lane (again, if replayed), null after a restart.
CREATE TABLE outbox (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    account          TEXT NOT NULL REFERENCES accounts(id),
    sub_account      TEXT,
    event            INTEGER NOT NULL,
    lane             TEXT NOT NULL,
    position         INTEGER NOT NULL,
    head             INTEGER NOT NULL,
    dialect          TEXT NOT NULL,
    url              TEXT NOT NULL,
    method           TEXT NOT NULL,
    headers          TEXT NOT NULL,
    body             TEXT NOT NULL,
    state            TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    queued_at        INTEGER,
    first_attempt_at INTEGER,
    first_failed_at  INTEGER,
    give_up_at       INTEGER,
    settled_at       INTEGER,
    last_error       TEXT
) STRICT;
CREATE UNIQUE INDEX outbox_by_position ON outbox(position);
CREATE INDEX outbox_due ON outbox(due_at, id) WHERE state = 'pending' AND head = 1;
CREATE INDEX outbox_lanes ON outbox(lane, position) WHERE state = 'pending';
CREATE INDEX outbox_by_account ON outbox(account, id);
CREATE INDEX outbox_settled ON outbox(state, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX outbox_by_event ON outbox(event);

CREATE TABLE outbox_load (
    account TEXT PRIMARY KEY REFERENCES accounts(id),
    pending INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
