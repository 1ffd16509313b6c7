-- The state of the daemon: the iredapd database. First the tables as they should be, of which only
-- the missing ones are made; then what brings tables made by iRedAPD to the same form, which
-- finds nothing to do in new ones. Columns, tables and indexes that are not ours stay as they are.
-- Rows that are merged or removed are first copied to postern_backup_TABLE.
--
-- All of it is one transaction. It waits for locks in short turns, since whoever else wants the
-- table waits behind it.

SET LOCAL lock_timeout = '2s';

CREATE TABLE IF NOT EXISTS greylisting (
    id BIGSERIAL PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    priority SMALLINT NOT NULL DEFAULT 0,
    sender VARCHAR(255) NOT NULL DEFAULT '',
    sender_priority SMALLINT NOT NULL DEFAULT 0,
    comment VARCHAR(255) NOT NULL DEFAULT '',
    active SMALLINT NOT NULL DEFAULT 1,
    UNIQUE (account, sender)
);

CREATE TABLE IF NOT EXISTS greylisting_whitelists (
    id BIGSERIAL PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender)
);

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domain_spf (
    id BIGSERIAL PRIMARY KEY,
    account VARCHAR(255) NOT NULL DEFAULT '',
    sender VARCHAR(255) NOT NULL DEFAULT '',
    comment VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (account, sender)
);

CREATE TABLE IF NOT EXISTS greylisting_whitelist_domains (
    id BIGSERIAL PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
);

CREATE TABLE IF NOT EXISTS greylisting_tracking (
    id BIGSERIAL PRIMARY KEY,
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
    UNIQUE (sender, recipient, client_address)
);

CREATE TABLE IF NOT EXISTS throttle (
    id BIGSERIAL PRIMARY KEY,
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
);

CREATE TABLE IF NOT EXISTS throttle_tracking (
    id BIGSERIAL PRIMARY KEY,
    tid BIGINT NOT NULL REFERENCES throttle (id) ON DELETE CASCADE,
    account VARCHAR(255) NOT NULL,
    period BIGINT NOT NULL DEFAULT 0,
    cur_msgs BIGINT NOT NULL DEFAULT 0,
    cur_quota BIGINT NOT NULL DEFAULT 0,
    init_time BIGINT NOT NULL DEFAULT 0,
    last_time BIGINT NOT NULL DEFAULT 0,
    last_notify_time BIGINT NOT NULL DEFAULT 0,
    UNIQUE (tid, account)
);

CREATE TABLE IF NOT EXISTS wblist_rdns (
    id BIGSERIAL PRIMARY KEY,
    rdns VARCHAR(255) NOT NULL DEFAULT '',
    wb VARCHAR(10) NOT NULL DEFAULT 'B',
    UNIQUE (rdns)
);

CREATE TABLE IF NOT EXISTS srs_exclude_domains (
    id BIGSERIAL PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (domain)
);

CREATE TABLE IF NOT EXISTS senderscore_cache (
    client_address VARCHAR(40) NOT NULL PRIMARY KEY,
    score SMALLINT NOT NULL DEFAULT 0,
    time BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS smtp_sessions (
    id BIGSERIAL PRIMARY KEY,
    time TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
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
    server_port VARCHAR(10) NOT NULL DEFAULT ''
);

-- iRedAPD counts bytes and times in 32 bits. An id is used up by every statement that may insert.

DO $takeover$
DECLARE
    step text;
BEGIN
    FOR step IN
        SELECT format('ALTER TABLE %s ', owner::regclass)
            || string_agg(format('ALTER COLUMN %I TYPE BIGINT', attname), ', ' ORDER BY attnum)
        FROM (VALUES
            ('greylisting_tracking',
             '{id,init_time,block_expired,record_expired,blocked_count}'::text[]),
            ('throttle', '{period,max_msgs,max_quota,msg_size,max_rcpts}'),
            ('throttle_tracking',
             '{id,period,cur_msgs,cur_quota,init_time,last_time,last_notify_time}'),
            ('senderscore_cache', '{time}'),
            ('smtp_sessions', '{id,time_num}')) AS wanted (owner, names)
        JOIN pg_attribute ON attrelid = owner::regclass AND attname = ANY (names)
        WHERE atttypid IN ('smallint'::regtype, 'integer'::regtype)
        GROUP BY owner
    LOOP
        EXECUTE step;
    END LOOP;

    FOR step IN
        SELECT format('ALTER SEQUENCE %s AS BIGINT', sequence)
        FROM unnest('{greylisting_tracking,throttle_tracking,smtp_sessions}'::text[]) AS owner,
            pg_get_serial_sequence(owner, 'id') AS sequence
        JOIN pg_sequence ON seqrelid = sequence::regclass
        WHERE seqtypid <> 'bigint'::regtype
    LOOP
        EXECUTE step;
    END LOOP;
END
$takeover$;

ALTER TABLE throttle ADD COLUMN IF NOT EXISTS shared SMALLINT NOT NULL DEFAULT 0;

-- Counters of a throttle that is gone count nothing.

DO $takeover$
BEGIN
    IF EXISTS (SELECT FROM throttle_tracking
               WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle)) THEN
        CREATE TABLE IF NOT EXISTS postern_backup_throttle_tracking AS
            SELECT * FROM throttle_tracking WHERE false;
        INSERT INTO postern_backup_throttle_tracking SELECT * FROM throttle_tracking
            WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle);
        DELETE FROM throttle_tracking
            WHERE tid IS NULL OR tid NOT IN (SELECT id FROM throttle);
    END IF;
END
$takeover$;

-- Settings that say the same thing twice. iRedAPD asks them in turn for each limit, the highest
-- priority first, until one does not say -1: the one that stays is given those answers,
-- and the counters of all. Which of equal priority comes first is left to chance there; here it
-- is the newest.

DO $takeover$
BEGIN
    CREATE TEMPORARY TABLE repeated ON COMMIT DROP AS
        SELECT array_agg(id ORDER BY priority DESC, id DESC) AS ids,
            COALESCE((array_agg(max_msgs ORDER BY priority DESC, id DESC)
                FILTER (WHERE max_msgs <> -1))[1], -1) AS max_msgs,
            COALESCE((array_agg(max_quota ORDER BY priority DESC, id DESC)
                FILTER (WHERE max_quota <> -1))[1], -1) AS max_quota,
            COALESCE((array_agg(msg_size ORDER BY priority DESC, id DESC)
                FILTER (WHERE msg_size <> -1))[1], -1) AS msg_size,
            COALESCE((array_agg(max_rcpts ORDER BY priority DESC, id DESC)
                FILTER (WHERE max_rcpts <> -1))[1], -1) AS max_rcpts
        FROM throttle GROUP BY account, kind, period HAVING count(*) > 1;
    IF NOT EXISTS (SELECT FROM repeated) THEN
        RETURN;
    END IF;
    CREATE TABLE IF NOT EXISTS postern_backup_throttle AS SELECT * FROM throttle WHERE false;
    INSERT INTO postern_backup_throttle
        SELECT throttle.* FROM throttle JOIN repeated ON id = ANY (ids);
    CREATE TABLE IF NOT EXISTS postern_backup_throttle_tracking AS
        SELECT * FROM throttle_tracking WHERE false;
    INSERT INTO postern_backup_throttle_tracking
        SELECT throttle_tracking.* FROM throttle_tracking JOIN repeated ON tid = ANY (ids[2:]);
    UPDATE throttle SET max_msgs = repeated.max_msgs, max_quota = repeated.max_quota,
        msg_size = repeated.msg_size, max_rcpts = repeated.max_rcpts
        FROM repeated WHERE id = ids[1];
    UPDATE throttle_tracking SET tid = ids[1] FROM repeated WHERE tid = ANY (ids[2:]);
    DELETE FROM throttle USING repeated WHERE id = ANY (ids[2:]);
END
$takeover$;

-- Two processes that saw the first message of a window at once have made a counter each, and each
-- has counted a part. What overlaps the newest window is added to it; earlier windows are over.

DO $takeover$
BEGIN
    CREATE TEMPORARY TABLE racing ON COMMIT DROP AS
        SELECT DISTINCT ON (tid, account) id AS kept, tid, account, init_time AS start
        FROM throttle_tracking
        WHERE (tid, account) IN (SELECT tid, account FROM throttle_tracking
                                 GROUP BY tid, account HAVING count(*) > 1)
        ORDER BY tid, account, init_time DESC, id;
    IF NOT EXISTS (SELECT FROM racing) THEN
        RETURN;
    END IF;
    CREATE TABLE IF NOT EXISTS postern_backup_throttle_tracking AS
        SELECT * FROM throttle_tracking WHERE false;
    INSERT INTO postern_backup_throttle_tracking
        SELECT throttle_tracking.* FROM throttle_tracking JOIN racing USING (tid, account)
        WHERE id NOT IN (SELECT id FROM postern_backup_throttle_tracking);
    UPDATE throttle_tracking SET cur_msgs = merged.cur_msgs, cur_quota = merged.cur_quota,
        init_time = merged.init_time, last_time = merged.last_time,
        last_notify_time = merged.last_notify_time
        FROM (SELECT kept, sum(cur_msgs) AS cur_msgs, sum(cur_quota) AS cur_quota,
                  min(init_time) AS init_time, max(last_time) AS last_time,
                  max(last_notify_time) AS last_notify_time
              FROM throttle_tracking JOIN racing USING (tid, account)
              WHERE id = kept OR init_time + period > start
              GROUP BY kept) AS merged
        WHERE id = kept;
    DELETE FROM throttle_tracking USING racing
        WHERE throttle_tracking.tid = racing.tid AND throttle_tracking.account = racing.account
            AND id <> kept;
END
$takeover$;

-- Unique keys. Of rows that stand in their way the best stays, and of equals the newest.

DO $takeover$
DECLARE
    wanted record;
    repeated boolean;
BEGIN
    FOR wanted IN
        SELECT owner, array_to_string(names, ', ') AS key, best
        FROM (VALUES
            ('greylisting', '{account,sender}'::text[], 'priority DESC, sender_priority DESC'),
            ('greylisting_whitelists', '{account,sender}', 'account'),
            ('greylisting_whitelist_domain_spf', '{account,sender}', 'account'),
            ('greylisting_whitelist_domains', '{domain}', 'domain'),
            ('greylisting_tracking', '{sender,recipient,client_address}',
             'passed DESC, record_expired DESC'),
            ('throttle', '{account,kind,period}', 'priority DESC'),
            ('throttle_tracking', '{tid,account}', 'init_time DESC'),
            ('wblist_rdns', '{rdns}', 'wb DESC'),
            ('srs_exclude_domains', '{domain}', 'domain')) AS list (owner, names, best)
        WHERE NOT EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = owner::regclass AND indisunique AND indisvalid
                AND indpred IS NULL AND indexprs IS NULL
                AND (SELECT array_agg(attname::text ORDER BY attname::text) FROM pg_attribute
                     WHERE attrelid = indrelid AND attnum = ANY (indkey))
                  = (SELECT array_agg(name ORDER BY name) FROM unnest(names) AS name))
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE (%s) IS NOT NULL '
                       'GROUP BY %2$s HAVING count(*) > 1)',
                       wanted.owner, wanted.key) INTO repeated;
        IF repeated THEN
            EXECUTE format('CREATE TABLE IF NOT EXISTS postern_backup_%s AS '
                           'SELECT * FROM %1$I WHERE false', wanted.owner);
            EXECUTE format('INSERT INTO postern_backup_%s SELECT * FROM %1$I WHERE (%s) IN '
                           '(SELECT %2$s FROM %1$I GROUP BY %2$s HAVING count(*) > 1)',
                           wanted.owner, wanted.key);
            EXECUTE format('DELETE FROM %I WHERE id IN (SELECT id FROM (SELECT id, '
                           'row_number() OVER (PARTITION BY %s ORDER BY %s, id DESC) AS place '
                           'FROM %1$I WHERE (%2$s) IS NOT NULL) AS places WHERE place > 1)',
                           wanted.owner, wanted.key, wanted.best);
        END IF;
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (%s)', wanted.owner, wanted.key);
    END LOOP;
END
$takeover$;

-- With a throttle its counters go.

DO $takeover$
DECLARE
    reference record;
BEGIN
    FOR reference IN
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'throttle_tracking'::regclass AND confrelid = 'throttle'::regclass
            AND contype = 'f' AND confdeltype <> 'c'
    LOOP
        EXECUTE format('ALTER TABLE throttle_tracking DROP CONSTRAINT %I', reference.conname);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'throttle_tracking'::regclass
                   AND confrelid = 'throttle'::regclass AND contype = 'f') THEN
        ALTER TABLE throttle_tracking
            ADD FOREIGN KEY (tid) REFERENCES throttle (id) ON DELETE CASCADE;
    END IF;
END
$takeover$;

-- Indexes, where none begins with these columns.

DO $takeover$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('greylisting_whitelist_domain_spf_comment', 'greylisting_whitelist_domain_spf',
             'comment'),
            ('greylisting_tracking_client', 'greylisting_tracking', 'client_address, passed'),
            ('greylisting_tracking_expired', 'greylisting_tracking', 'record_expired'),
            ('throttle_tracking_account', 'throttle_tracking', 'account'),
            ('throttle_tracking_expired', 'throttle_tracking', '(init_time + period)'),
            ('senderscore_cache_time', 'senderscore_cache', '"time"'),
            ('smtp_sessions_time', 'smtp_sessions', 'time_num'),
            ('smtp_sessions_sender', 'smtp_sessions', 'sender'),
            ('smtp_sessions_recipient', 'smtp_sessions', 'recipient'),
            ('smtp_sessions_client', 'smtp_sessions', 'client_address'))
            AS list (name, owner, columns)
        WHERE NOT EXISTS (
            SELECT FROM pg_index
            WHERE indrelid = owner::regclass AND indisvalid AND indpred IS NULL
                AND (strpos(pg_get_indexdef(indexrelid), '(' || columns || ')') > 0
                     OR strpos(pg_get_indexdef(indexrelid), '(' || columns || ',') > 0))
    LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I (%s)', wanted.name, wanted.owner,
                       wanted.columns);
    END LOOP;
END
$takeover$;
