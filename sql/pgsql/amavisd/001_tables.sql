-- White- and blacklists, as the amavisd database of an iRedMail installation has them.

CREATE TABLE IF NOT EXISTS users (
    id SERIAL PRIMARY KEY,
    priority SMALLINT NOT NULL DEFAULT 7,
    policy_id INTEGER NOT NULL DEFAULT 0,
    email BYTEA NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS mailaddr (
    id SERIAL PRIMARY KEY,
    priority SMALLINT NOT NULL DEFAULT 7,
    email BYTEA NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS wblist (
    rid INTEGER NOT NULL,
    sid INTEGER NOT NULL,
    wb VARCHAR(10) NOT NULL,
    PRIMARY KEY (rid, sid)
);

CREATE TABLE IF NOT EXISTS outbound_wblist (
    rid INTEGER NOT NULL,
    sid INTEGER NOT NULL,
    wb VARCHAR(10) NOT NULL,
    PRIMARY KEY (rid, sid)
);
CREATE INDEX IF NOT EXISTS outbound_wblist_sid ON outbound_wblist (sid);
