-- The state of the daemon: the iredapd database. First the tables as they should be, of which only
-- the missing ones are made; then what brings tables made by iRedAPD to the same form, which
-- finds nothing to do in new ones. Columns, tables and indexes that are not ours stay as they are.
-- Rows that are merged or removed are first copied to postern_backup_TABLE.
--
-- Each statement that changes a table stands by itself, so this may end anywhere and be run again:
-- every step looks for itself whether it is needed. MariaDB's ALTER TABLE ... IF NOT EXISTS would
-- do that, but MySQL has none; hence the procedures, which are dropped at the end.

SET SESSION group_concat_max_len = 65536;

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

DROP PROCEDURE IF EXISTS postern_run;
CREATE PROCEDURE postern_run(IN command TEXT CHARACTER SET utf8mb4)
BEGIN
    SET @postern_command = command;
    PREPARE postern_command FROM @postern_command;
    EXECUTE postern_command;
    DEALLOCATE PREPARE postern_command;
END;

-- Makes the named columns BIGINT that are not, in one rebuild of the table. Signed, because times
-- are subtracted; only the id, which is counted up, stays without sign.
DROP PROCEDURE IF EXISTS postern_widen;
CREATE PROCEDURE postern_widen(IN owner VARCHAR(64) CHARACTER SET utf8mb4,
                               IN names VARCHAR(255) CHARACTER SET utf8mb4)
BEGIN
    DECLARE changes TEXT CHARACTER SET utf8mb4;
    SELECT GROUP_CONCAT('MODIFY ', column_name, IF(extra LIKE '%auto_increment%',
               ' BIGINT UNSIGNED NOT NULL AUTO_INCREMENT',
               CONCAT(' BIGINT', IF(is_nullable = 'NO', ' NOT NULL', ' NULL'),
                      COALESCE(CONCAT(' DEFAULT ', column_default), '')))
               ORDER BY ordinal_position SEPARATOR ', ') INTO changes
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = owner AND FIND_IN_SET(column_name, names)
        AND (data_type <> 'bigint'
             OR column_type LIKE '%unsigned%' AND extra NOT LIKE '%auto_increment%');
    IF changes IS NOT NULL THEN
        CALL postern_run(CONCAT('ALTER TABLE ', owner, ' ', changes));
    END IF;
END;

-- Makes a unique key where no other has exactly these columns. Of rows that stand in its way, which
-- iRedAPD's own keys do not let in, the best stays, and of equals the newest.
DROP PROCEDURE IF EXISTS postern_unique;
CREATE PROCEDURE postern_unique(IN owner VARCHAR(64) CHARACTER SET utf8mb4,
                                IN names VARCHAR(255) CHARACTER SET utf8mb4,
                                IN best VARCHAR(255) CHARACTER SET utf8mb4)
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = owner AND non_unique = 0
        GROUP BY index_name
        HAVING SUM(FIND_IN_SET(column_name, names) > 0) = COUNT(*)
            AND COUNT(*) = 1 + LENGTH(names) - LENGTH(REPLACE(names, ',', ''))) THEN
        CALL postern_run(CONCAT(
            'SELECT COUNT(*) INTO @postern_repeated FROM (SELECT 1 FROM ', owner,
            ' GROUP BY ', names, ' HAVING COUNT(*) > 1) AS repeated'));
        IF @postern_repeated > 0 THEN
            CALL postern_run(CONCAT(
                'CREATE TABLE IF NOT EXISTS postern_backup_', owner, ' LIKE ', owner));
            CALL postern_run(CONCAT(
                'INSERT IGNORE INTO postern_backup_', owner, ' SELECT * FROM ', owner,
                ' WHERE id IN (SELECT id FROM (SELECT id, COUNT(*) OVER (PARTITION BY ', names,
                ') AS alike FROM ', owner, ') AS counted WHERE alike > 1)'));
            CALL postern_run(CONCAT(
                'DELETE FROM ', owner, ' WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() ',
                'OVER (PARTITION BY ', names, ' ORDER BY ', best, ', id DESC) AS place FROM ',
                owner, ') AS places WHERE place > 1)'));
        END IF;
        CALL postern_run(CONCAT('ALTER TABLE ', owner, ' ADD UNIQUE (', names, ')'));
    END IF;
END;

-- Makes an index where none begins with these columns.
DROP PROCEDURE IF EXISTS postern_index;
CREATE PROCEDURE postern_index(IN owner VARCHAR(64) CHARACTER SET utf8mb4,
                               IN names VARCHAR(255) CHARACTER SET utf8mb4,
                               IN title VARCHAR(64) CHARACTER SET utf8mb4)
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = owner
        GROUP BY index_name
        HAVING CONCAT(GROUP_CONCAT(column_name ORDER BY seq_in_index), ',')
            LIKE CONCAT(names, ',%')) THEN
        CALL postern_run(CONCAT('ALTER TABLE ', owner, ' ADD INDEX ', title, ' (', names, ')'));
    END IF;
END;

-- iRedAPD's unique key of throttle leaves an account one period of a kind.
DROP PROCEDURE IF EXISTS postern_free_periods;
CREATE PROCEDURE postern_free_periods()
BEGIN
    DECLARE old_key VARCHAR(64) CHARACTER SET utf8mb4;
    IF NOT EXISTS (
        SELECT 1 FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = 'throttle' AND column_name = 'shared') THEN
        ALTER TABLE throttle ADD COLUMN shared SMALLINT NOT NULL DEFAULT 0;
    END IF;
    CALL postern_unique('throttle', 'account,kind,period', 'priority DESC');
    SELECT MIN(index_name) INTO old_key FROM (
        SELECT index_name FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = 'throttle' AND non_unique = 0
        GROUP BY index_name
        HAVING COUNT(*) = 2 AND SUM(column_name IN ('account', 'kind')) = 2) AS old_keys;
    IF old_key IS NOT NULL THEN
        CALL postern_run(CONCAT('ALTER TABLE throttle DROP INDEX `', old_key, '`'));
    END IF;
END;

-- With a throttle its counters go. Those of one that is gone already count nothing.
DROP PROCEDURE IF EXISTS postern_tie_counters;
CREATE PROCEDURE postern_tie_counters()
BEGIN
    DECLARE old_reference VARCHAR(64) CHARACTER SET utf8mb4;
    IF EXISTS (SELECT 1 FROM throttle_tracking
               WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle)) THEN
        CREATE TABLE IF NOT EXISTS postern_backup_throttle_tracking LIKE throttle_tracking;
        INSERT IGNORE INTO postern_backup_throttle_tracking SELECT * FROM throttle_tracking
            WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle);
        DELETE FROM throttle_tracking
            WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle);
    END IF;
    CALL postern_unique('throttle_tracking', 'tid,account', 'init_time DESC');
    SELECT MIN(constraint_name) INTO old_reference FROM information_schema.referential_constraints
    WHERE constraint_schema = DATABASE() AND table_name = 'throttle_tracking'
        AND referenced_table_name = 'throttle' AND delete_rule <> 'CASCADE';
    IF old_reference IS NOT NULL THEN
        CALL postern_run(CONCAT(
            'ALTER TABLE throttle_tracking DROP FOREIGN KEY `', old_reference, '`, ',
            'ADD CONSTRAINT throttle_tracking_throttle FOREIGN KEY (tid) ',
            'REFERENCES throttle (id) ON DELETE CASCADE'));
    END IF;
END;

-- To iRedAPD's collation two users are one whose names differ by an accent: when one has reached a
-- limit, the other, who has no counter and can't get one, would not be counted at all.
DROP PROCEDURE IF EXISTS postern_tell_users_apart;
CREATE PROCEDURE postern_tell_users_apart()
BEGIN
    DECLARE changed VARCHAR(255) CHARACTER SET utf8mb4;
    SELECT CONCAT(column_type, ' CHARACTER SET ', character_set_name, ' COLLATE ',
                  character_set_name, '_bin') INTO changed
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'throttle_tracking'
        AND column_name = 'account' AND RIGHT(collation_name, 4) <> '_bin';
    IF changed IS NOT NULL THEN
        CALL postern_run(CONCAT('ALTER TABLE throttle_tracking MODIFY account ', changed,
                                ' NOT NULL'));
    END IF;
END;

-- iRedAPD's counters overflow at 8 million messages and 4 GB. An id is used up by every
-- statement that may insert.
CALL postern_widen('greylisting_tracking',
                   'id,init_time,block_expired,record_expired,blocked_count');
CALL postern_widen('throttle', 'period,max_msgs,max_quota,msg_size,max_rcpts');
CALL postern_widen('throttle_tracking',
                   'id,period,cur_msgs,cur_quota,init_time,last_time,last_notify_time');
CALL postern_tell_users_apart();
CALL postern_widen('senderscore_cache', 'time');
CALL postern_widen('smtp_sessions', 'id,time_num');

CALL postern_unique('greylisting', 'account,sender', 'priority DESC, sender_priority DESC');
CALL postern_unique('greylisting_whitelists', 'account,sender', 'account');
CALL postern_unique('greylisting_whitelist_domain_spf', 'account,sender', 'account');
CALL postern_unique('greylisting_whitelist_domains', 'domain', 'domain');
CALL postern_unique('greylisting_tracking', 'sender,recipient,client_address',
                    'passed DESC, record_expired DESC');
CALL postern_unique('wblist_rdns', 'rdns', 'wb DESC');
CALL postern_unique('srs_exclude_domains', 'domain', 'domain');
CALL postern_free_periods();
CALL postern_tie_counters();

CALL postern_index('greylisting_whitelist_domain_spf', 'comment',
                   'greylisting_whitelist_domain_spf_comment');
CALL postern_index('greylisting_tracking', 'client_address,passed', 'greylisting_tracking_client');
CALL postern_index('greylisting_tracking', 'record_expired', 'greylisting_tracking_expired');
CALL postern_index('throttle_tracking', 'account', 'throttle_tracking_account');
CALL postern_index('throttle_tracking', 'init_time', 'throttle_tracking_expired');
CALL postern_index('senderscore_cache', 'time', 'senderscore_cache_time');
CALL postern_index('smtp_sessions', 'time_num', 'smtp_sessions_time');
CALL postern_index('smtp_sessions', 'sender', 'smtp_sessions_sender');
CALL postern_index('smtp_sessions', 'recipient', 'smtp_sessions_recipient');
CALL postern_index('smtp_sessions', 'client_address', 'smtp_sessions_client');

DROP PROCEDURE postern_tell_users_apart;
DROP PROCEDURE postern_tie_counters;
DROP PROCEDURE postern_free_periods;
DROP PROCEDURE postern_index;
DROP PROCEDURE postern_unique;
DROP PROCEDURE postern_widen;
DROP PROCEDURE postern_run;
