-- The housekeeper of every host looks every other second for counters whose notification is wanted.
DROP PROCEDURE IF EXISTS postern_index_notify;
CREATE PROCEDURE postern_index_notify()
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = 'throttle_tracking'
            AND column_name = 'last_notify_time' AND seq_in_index = 1) THEN
        ALTER TABLE throttle_tracking ADD INDEX throttle_tracking_notify (last_notify_time);
    END IF;
END;
CALL postern_index_notify();
DROP PROCEDURE postern_index_notify;
