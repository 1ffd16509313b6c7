-- Work that one host at a time does for all that share the database: who does it, and until when
-- at the latest (Unix seconds; 0: nobody). The row of the domains is only locked.
CREATE TABLE IF NOT EXISTS postern_leases (
    name VARCHAR(40) NOT NULL PRIMARY KEY,
    holder VARCHAR(255) NOT NULL DEFAULT '',
    expires BIGINT NOT NULL DEFAULT 0
);
INSERT INTO postern_leases (name) VALUES ('housekeeping'), ('whitelisted domains')
    ON CONFLICT DO NOTHING;

-- What the domains of greylisting_whitelist_domains have come to. greylisting_whitelist_domain_spf
-- has room for one row of a network, and a network may be that of several domains.
CREATE TABLE IF NOT EXISTS greylisting_whitelist_domain_networks (
    domain VARCHAR(255) NOT NULL,
    network VARCHAR(50) NOT NULL,
    PRIMARY KEY (domain, network)
);
CREATE INDEX IF NOT EXISTS greylisting_whitelist_domain_networks_network
    ON greylisting_whitelist_domain_networks (network);
