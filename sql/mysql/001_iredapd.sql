-- The state of the daemon: the iredapd database.

CREATE TABLE IF NOT EXISTS greylisting (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    priority SMALLINT NOT NULL DEFAULT 0,
    sender VARCHAR(255) NOT NULL DEFAULT '',
    sender_priority SMALLINT NOT NULL DEFAULT 0,
    comment VARCHAR(255) NOT NULL DEFAULT '',
    active SMALLINT NOT NULL DEFAULT 1,
    UNIQUE (account, sender)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS greylisting_whitelists (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domain_spf (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender),
    INDEX greylisting_whitelist_domain_spf_comment (comment)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domains (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS greylisting_tracking (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sender VARCHAR(255) NOT NULL,
    recipient VARCHAR(255) NOT NULL,
    client_address VARCHAR(40) NOT NULL,
    sender_domain VARCHAR(255) NOT NULL DEFAULT '',
    rcpt_domain VARCHAR(255) NOT NULL DEFAULT '',
    init_time BIGINT NOT NULL DEFAULT 0,
    block_expired BIGINT NOT NULL DEFAULT 0,
    record_expired BIGINT NOT NULL DEFAULT 0,
    blocked_count BIGINT NOT NULL DEFAULT 0,
    passed SMALLINT NOT NULL DEFAULT 0,
    UNIQUE (sender, recipient, client_address),
    INDEX greylisting_tracking_client (client_address, passed),
    INDEX greylisting_tracking_expired (record_expired)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS throttle (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL,
    kind VARCHAR(10) NOT NULL DEFAULT 'outbound',
    priority SMALLINT NOT NULL DEFAULT 0,
    period BIGINT NOT NULL,
    max_msgs BIGINT NOT NULL DEFAULT -1,
    max_quota BIGINT NOT NULL DEFAULT -1,
    msg_size BIGINT NOT NULL DEFAULT -1,
    max_rcpts BIGINT NOT NULL DEFAULT -1,
    shared SMALLINT NOT NULL DEFAULT 0,
    UNIQUE (account, kind, period)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS throttle_tracking (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tid BIGINT UNSIGNED NOT NULL,
    account VARCHAR(255) NOT NULL,
    period BIGINT NOT NULL DEFAULT 0,
    cur_msgs BIGINT NOT NULL DEFAULT 0,
    cur_quota BIGINT NOT NULL DEFAULT 0,
    init_time BIGINT NOT NULL DEFAULT 0,
    last_time BIGINT NOT NULL DEFAULT 0,
    last_notify_time BIGINT NOT NULL DEFAULT 0,
    UNIQUE (tid, account),
    INDEX throttle_tracking_account (account),
    INDEX throttle_tracking_expired (init_time),
    FOREIGN KEY (tid) REFERENCES throttle (id) ON DELETE CASCADE
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS wblist_rdns (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    rdns VARCHAR(255) NOT NULL DEFAULT '',
    wb VARCHAR(10) NOT NULL DEFAULT 'B',
    UNIQUE (rdns)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS srs_exclude_domains (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS senderscore_cache (
    client_address VARCHAR(40) NOT NULL PRIMARY KEY,
    score SMALLINT NOT NULL DEFAULT 0,
    time BIGINT NOT NULL DEFAULT 0,
    INDEX senderscore_cache_time (time)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS smtp_sessions (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    time_num BIGINT NOT NULL,
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
    server_port VARCHAR(10) NOT NULL DEFAULT '',
    INDEX smtp_sessions_time (time_num),
    INDEX smtp_sessions_sender (sender),
    INDEX smtp_sessions_recipient (recipient),
    INDEX smtp_sessions_client (client_address)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
