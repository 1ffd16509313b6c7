"""Settings of throttle that every message of the load counts for, and that none reaches."""

# Outside senders and mailboxes have a counter each; users have their own and one that all share.
SETTINGS = """
INSERT INTO throttle (account, kind, period, max_msgs, max_quota, shared) VALUES
    ('@.', 'external', 86400, 1000000000, 1000000000000000, 0),
    ('@.', 'inbound', 86400, 1000000000, 1000000000000000, 0),
    ('@.', 'outbound', 3600, 1000000000, 1000000000000000, 0),
    ('@.', 'outbound', 86400, 1000000000, 1000000000000000, 1)
"""
PLUGINS = ("throttle",)
OWN, SHARED = "counted", "eom"  # kinds of requests
