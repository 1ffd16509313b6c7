-- The housekeeper of every host looks every other second for counters whose notification is wanted.
CREATE INDEX IF NOT EXISTS throttle_tracking_notify
    ON throttle_tracking (last_notify_time) WHERE last_notify_time < 0;
