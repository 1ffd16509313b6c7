-- Accounts, as the vmail database of an iRedMail installation has them: the part that Postern
-- asks for.

CREATE TABLE IF NOT EXISTS domain (
    domain VARCHAR(255) NOT NULL PRIMARY KEY,
    backupmx SMALLINT NOT NULL DEFAULT 0,
    active SMALLINT NOT NULL DEFAULT 1
);

CREATE TABLE IF NOT EXISTS alias_domain (
    alias_domain VARCHAR(255) NOT NULL PRIMARY KEY,
    target_domain VARCHAR(255) NOT NULL DEFAULT '',
    active SMALLINT NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS alias_domain_target ON alias_domain (target_domain);

CREATE TABLE IF NOT EXISTS mailbox (
    username VARCHAR(255) NOT NULL PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    passwordlastchange TIMESTAMP,
    active SMALLINT NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS mailbox_domain ON mailbox (domain);

CREATE TABLE IF NOT EXISTS alias (
    address VARCHAR(255) NOT NULL PRIMARY KEY,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    accesspolicy VARCHAR(30) NOT NULL DEFAULT '',
    active SMALLINT NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS alias_by_domain ON alias (domain);

CREATE TABLE IF NOT EXISTS maillists (
    id SERIAL PRIMARY KEY,
    address VARCHAR(255) NOT NULL UNIQUE,
    domain VARCHAR(255) NOT NULL DEFAULT '',
    accesspolicy VARCHAR(30) NOT NULL DEFAULT '',
    active SMALLINT NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS maillists_domain ON maillists (domain);

CREATE TABLE IF NOT EXISTS forwardings (
    id SERIAL PRIMARY KEY,
    address VARCHAR(255) NOT NULL DEFAULT '',
    forwarding VARCHAR(255) NOT NULL DEFAULT '',
    domain VARCHAR(255) NOT NULL DEFAULT '',
    dest_domain VARCHAR(255) NOT NULL DEFAULT '',
    is_maillist SMALLINT NOT NULL DEFAULT 0,
    is_list SMALLINT NOT NULL DEFAULT 0,
    is_forwarding SMALLINT NOT NULL DEFAULT 0,
    is_alias SMALLINT NOT NULL DEFAULT 0,
    active SMALLINT NOT NULL DEFAULT 1,
    UNIQUE (address, forwarding)
);
CREATE INDEX IF NOT EXISTS forwardings_forwarding ON forwardings (forwarding);
CREATE INDEX IF NOT EXISTS forwardings_domain ON forwardings (domain);

CREATE TABLE IF NOT EXISTS moderators (
    id SERIAL PRIMARY KEY,
    address VARCHAR(255) NOT NULL DEFAULT '',
    moderator VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (address, moderator)
);

CREATE TABLE IF NOT EXISTS maillist_owners (
    id SERIAL PRIMARY KEY,
    address VARCHAR(255) NOT NULL DEFAULT '',
    owner VARCHAR(255) NOT NULL DEFAULT '',
    UNIQUE (address, owner)
);
