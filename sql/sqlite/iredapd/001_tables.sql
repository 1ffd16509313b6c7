-- The state of the daemon: the iredapd database.

CREATE TABLE IF NOT EXISTS greylisting (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account VARCHAR(255) NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 0,
    sender VARCHAR(255) NOT NULL DEFAULT '',
    sender_priority INTEGER NOT NULL DEFAULT 0,
    comment VARCHAR(255) NOT NULL DEFAULT '',
    active INTEGER NOT NULL DEFAULT 1,
    UNIQUE (account, sender)
);

CREATE TABLE IF NOT EXISTS greylisting_whitelists (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender)
);

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domain_spf (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender)
);
CREATE INDEX IF NOT EXISTS greylisting_whitelist_domain_spf_comment
    ON greylisting_whitelist_domain_spf (comment);

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domains (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
);

CREATE TABLE IF NOT EXISTS greylisting_tracking (
    id INTEGER PRIMARY KEY,
    sender VARCHAR(255) NOT NULL,
    recipient VARCHAR(255) NOT NULL,
    client_address VARCHAR(40) NOT NULL,
    sender_domain VARCHAR(255) NOT NULL DEFAULT '',
    rcpt_domain VARCHAR(255) NOT NULL DEFAULT '',
    init_time INTEGER NOT NULL DEFAULT 0,
    block_expired INTEGER NOT NULL DEFAULT 0,
    record_expired INTEGER NOT NULL DEFAULT 0,
    blocked_count INTEGER NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sender, recipient, client_address)
);
CREATE INDEX IF NOT EXISTS greylisting_tracking_client
    ON greylisting_tracking (client_address, passed);
CREATE INDEX IF NOT EXISTS greylisting_tracking_expired
    ON greylisting_tracking (record_expired);

CREATE TABLE IF NOT EXISTS throttle (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account VARCHAR(255) NOT NULL,
    kind VARCHAR(10) NOT NULL DEFAULT 'outbound',
    priority INTEGER NOT NULL DEFAULT 0,
    period INTEGER NOT NULL,
    max_msgs INTEGER NOT NULL DEFAULT -1,
    max_quota INTEGER NOT NULL DEFAULT -1,
    msg_size INTEGER NOT NULL DEFAULT -1,
    max_rcpts INTEGER NOT NULL DEFAULT -1,
    shared INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, kind, period)
);

CREATE TABLE IF NOT EXISTS throttle_tracking (
    id INTEGER PRIMARY KEY,
    tid INTEGER NOT NULL REFERENCES throttle (id) ON DELETE CASCADE,
    account VARCHAR(255) NOT NULL,
    period INTEGER NOT NULL DEFAULT 0,
    cur_msgs INTEGER NOT NULL DEFAULT 0,
    cur_quota INTEGER NOT NULL DEFAULT 0,
    init_time INTEGER NOT NULL DEFAULT 0,
    last_time INTEGER NOT NULL DEFAULT 0,
    last_notify_time INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tid, account)
);
CREATE INDEX IF NOT EXISTS throttle_tracking_account
    ON throttle_tracking (account);
CREATE INDEX IF NOT EXISTS throttle_tracking_expired
    ON throttle_tracking (init_time + period);

CREATE TABLE IF NOT EXISTS wblist_rdns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rdns VARCHAR(255) NOT NULL DEFAULT '',
    wb VARCHAR(10) NOT NULL DEFAULT 'B',
    UNIQUE (rdns)
);

CREATE TABLE IF NOT EXISTS srs_exclude_domains (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
);

CREATE TABLE IF NOT EXISTS senderscore_cache (
    client_address VARCHAR(40) NOT NULL PRIMARY KEY,
    score INTEGER NOT NULL DEFAULT 0,
    time INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS senderscore_cache_time
    ON senderscore_cache (time);

CREATE TABLE IF NOT EXISTS smtp_sessions (
    id INTEGER PRIMARY KEY,
    time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    time_num INTEGER NOT NULL,
    action VARCHAR(20) NOT NULL DEFAULT '',
    reason VARCHAR(255) NOT NULL DEFAULT '',
    instance VARCHAR(255) NOT NULL DEFAULT '',
    client_address VARCHAR(40) NOT NULL DEFAULT '',
    client_name VARCHAR(255) NOT NULL DEFAULT '',
    reverse_client_name VARCHAR(255) NOT NULL DEFAULT '',
    helo_name VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    sender_domain VARCHAR(255) NOT NULL DEFAULT '',
    sasl_username VARCHAR(255) NOT NULL DEFAULT '',
    sasl_domain VARCHAR(255) NOT NULL DEFAULT '',
    recipient VARCHAR(255) NOT NULL DEFAULT '',
    recipient_domain VARCHAR(255) NOT NULL DEFAULT '',
    encryption_protocol VARCHAR(20) NOT NULL DEFAULT '',
    encryption_cipher VARCHAR(50) NOT NULL DEFAULT '',
    server_address VARCHAR(40) NOT NULL DEFAULT '',
    server_port VARCHAR(10) NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS smtp_sessions_time ON smtp_sessions (time_num);
CREATE INDEX IF NOT EXISTS smtp_sessions_sender ON smtp_sessions (sender);
CREATE INDEX IF NOT EXISTS smtp_sessions_recipient ON smtp_sessions (recipient);
CREATE INDEX IF NOT EXISTS smtp_sessions_client ON smtp_sessions (client_address);
