-- name: open
-- Begin the row of a reorganisation.
INSERT INTO reorgs
    (ancestor_number, ancestor_hash, old_number, old_hash, new_number, new_hash, depth,
     events_orphaned, rows_restored, seconds, cause)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, $8)
RETURNING id;

-- name: close
-- Complete the row with what the reorganisation took.
UPDATE reorgs SET events_orphaned = $2, rows_restored = $3, seconds = $4 WHERE id = $1;

-- name: extent
-- What a rollback to a block would take back.
SELECT
    (SELECT count(*) FROM blocks WHERE number > $1) AS blocks,
    (SELECT count(*) FROM events WHERE block_number > $1) AS events;

-- name: block_time
-- The time of a stored block.
SELECT timestamp FROM blocks WHERE number = $1;
