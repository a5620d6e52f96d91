-- name: holders
-- Those of these addresses that hold a position, or held one.
SELECT DISTINCT user_id FROM vesu_positions WHERE user_id = ANY($1::text[]);
