-- An iredapd database as iRedAPD 6.1 leaves it on MySQL and MariaDB, in use for a while. Its counters
-- are as high as they get.

CREATE TABLE greylisting (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    priority TINYINT NOT NULL DEFAULT 0,
    sender VARCHAR(255) NOT NULL DEFAULT '',
    sender_priority TINYINT NOT NULL DEFAULT 0,
    comment VARCHAR(255),
    active TINYINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX idx_greylisting_account_sender ON greylisting (account, sender);
INSERT INTO greylisting (account, priority, sender, sender_priority, comment, active) VALUES
    ('@.', 0, '@.', 0, NULL, 1),
    ('@quiet.example', 60, '@.', 0, 'not for them', 0);

CREATE TABLE greylisting_whitelists (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255)
);
CREATE UNIQUE INDEX idx_greylisting_whitelists ON greylisting_whitelists (account, sender);
INSERT INTO greylisting_whitelists (account, sender, comment) VALUES
    ('@.', '192.0.2.77', 'a partner'),
    ('bob@example.org', 'friend@sender.example', 'AUTO-WHITELISTED');

CREATE TABLE greylisting_whitelist_domain_spf (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255)
);
CREATE UNIQUE INDEX idx_greylisting_whitelist_domain_spf
    ON greylisting_whitelist_domain_spf (account, sender);
CREATE INDEX idx_greylisting_whitelist_domain_spf_comment
    ON greylisting_whitelist_domain_spf (comment);
INSERT INTO greylisting_whitelist_domain_spf (account, sender, comment) VALUES
    ('@.', '203.0.113.0/24', 'AUTO-UPDATE: partner.example');

CREATE TABLE greylisting_whitelist_domains (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX idx_greylisting_whitelist_domains ON greylisting_whitelist_domains (domain);
INSERT INTO greylisting_whitelist_domains (domain) VALUES ('partner.example');

CREATE TABLE greylisting_tracking (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sender VARCHAR(255) NOT NULL,
    recipient VARCHAR(255) NOT NULL,
    client_address VARCHAR(40) NOT NULL,
    sender_domain VARCHAR(255) NOT NULL DEFAULT '',
    rcpt_domain VARCHAR(255) NOT NULL DEFAULT '',
    init_time INT UNSIGNED NOT NULL DEFAULT 0,
    block_expired INT UNSIGNED NOT NULL DEFAULT 0,
    record_expired INT UNSIGNED NOT NULL DEFAULT 0,
    blocked_count INT UNSIGNED NOT NULL DEFAULT 0,
    passed TINYINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX idx_greylisting_tracking
    ON greylisting_tracking (sender, recipient, client_address);
CREATE INDEX idx_greylisting_tracking_client ON greylisting_tracking (client_address, passed);
INSERT INTO greylisting_tracking (sender, recipient, client_address, sender_domain, rcpt_domain,
        init_time, block_expired, record_expired, blocked_count, passed) VALUES
    ('known@sender.example', 'bob@example.org', '198.51.100.7', 'sender.example', 'example.org',
     1700000000, 1700000900, 2000000000, 3, 1),
    ('new@sender.example', 'bob@example.org', '198.51.100.8', 'sender.example', 'example.org',
     1700000000, 1999999000, 2000000000, 1, 0),
    ('', 'bob@example.org', '2001:db8::25', '', 'example.org',
     1600000000, 1600000900, 1600086400, 0, 0);

CREATE TABLE throttle (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(255) NOT NULL,
    kind VARCHAR(10) NOT NULL DEFAULT 'outbound',
    priority TINYINT NOT NULL DEFAULT 0,
    period INT UNSIGNED NOT NULL,
    max_msgs MEDIUMINT NOT NULL DEFAULT -1,
    max_quota INT NOT NULL DEFAULT -1,
    msg_size INT NOT NULL DEFAULT -1,
    max_rcpts INT NOT NULL DEFAULT -1
);
CREATE UNIQUE INDEX idx_throttle_account_kind ON throttle (account, kind);
INSERT INTO throttle (account, kind, priority, period, max_msgs, max_quota, msg_size, max_rcpts)
VALUES
    ('@example.org', 'outbound', 5, 3600, 100, 2147483647, -1, -1),
    ('user@example.org', 'inbound', 10, 60, 10, 0, 1024, 0);

CREATE TABLE throttle_tracking (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    tid INT UNSIGNED NOT NULL,
    account VARCHAR(255) NOT NULL,
    period INT UNSIGNED NOT NULL DEFAULT 0,
    cur_msgs MEDIUMINT NOT NULL DEFAULT 0,
    cur_quota INT UNSIGNED NOT NULL DEFAULT 0,
    init_time INT UNSIGNED NOT NULL DEFAULT 0,
    last_time INT UNSIGNED NOT NULL DEFAULT 0,
    last_notify_time INT UNSIGNED NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX idx_throttle_tracking_tid_account ON throttle_tracking (tid, account);
INSERT INTO throttle_tracking (tid, account, period, cur_msgs, cur_quota, init_time, last_time,
        last_notify_time) VALUES
    (1, '@example.org', 3600, 8388607, 4294967295, 1700000000, 1700000100, 0),
    (2, 'user@example.org', 60, 1, 10, 1700000000, 1700000000, 1700000060);
ALTER TABLE throttle_tracking ADD CONSTRAINT throttle_tracking_ibfk_1
    FOREIGN KEY (tid) REFERENCES throttle (id);
SET FOREIGN_KEY_CHECKS = 0;
INSERT INTO throttle_tracking (tid, account, period, cur_msgs) VALUES
    (99, 'gone@example.org', 60, 1);
SET FOREIGN_KEY_CHECKS = 1;

CREATE TABLE wblist_rdns (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    rdns VARCHAR(255) NOT NULL DEFAULT '',
    wb VARCHAR(10) NOT NULL DEFAULT 'B'
);
CREATE UNIQUE INDEX idx_wblist_rdns ON wblist_rdns (rdns);
INSERT INTO wblist_rdns (rdns, wb) VALUES ('.dynamic.example', 'B'), ('mx.good.example', 'W');

CREATE TABLE srs_exclude_domains (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX idx_srs_exclude_domains ON srs_exclude_domains (domain);
INSERT INTO srs_exclude_domains (domain) VALUES ('.kept.example');

CREATE TABLE senderscore_cache (
    client_address VARCHAR(40) NOT NULL PRIMARY KEY,
    score TINYINT NOT NULL DEFAULT 0,
    time INT UNSIGNED NOT NULL DEFAULT 0
);
INSERT INTO senderscore_cache VALUES ('198.51.100.9', 12, 1700000000);

CREATE TABLE smtp_sessions (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    time_num INT UNSIGNED NOT NULL,
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
CREATE INDEX idx_smtp_sessions_time_num ON smtp_sessions (time_num);
INSERT INTO smtp_sessions (time, time_num, action, reason, client_address, sender, recipient)
VALUES
    ('2023-11-14 22:13:20', 1700000000, 'REJECT', 'Blacklisted', '198.51.100.9',
     'spam@sender.example', 'bob@example.org'),
    ('2023-11-14 22:13:21', 1700000001, 'DUNNO', '', '198.51.100.7', 'known@sender.example',
     'bob@example.org');
