-- name: events_by_block
-- How many events are stored of each block from block to block that has any.
SELECT block_number, count(*) AS events
FROM event_log
WHERE block_number BETWEEN $1 AND $2
GROUP BY block_number;
