-- name: dropped
-- The indexes that a fill has dropped.
SELECT COALESCE(array_agg(name ORDER BY name), ARRAY[]::text[]) FROM deferred_indexes;

-- name: wait_little
-- Where another session holds the table for long, the indexes stay as they are.
SET LOCAL lock_timeout = '2s';

-- name: take_time
-- An index of a large table takes longer than other statements may.
SET LOCAL statement_timeout = 0;

-- name: note_dropped
-- Of the indexes $1 remember those that are there.
WITH noted AS (
    INSERT INTO deferred_indexes (name)
    SELECT c.relname
    FROM pg_class c
    WHERE c.relname = ANY ($1::text[]) AND c.relkind IN ('i', 'I')
        AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))::oid
    RETURNING name
)
SELECT COALESCE(array_agg(name ORDER BY name), ARRAY[]::text[]) FROM noted;

-- name: drop
-- All that were noted, one by one: Citus refuses several at once.
DO $$
DECLARE
    noted text;
BEGIN
    FOR noted IN SELECT name FROM deferred_indexes LOOP
        EXECUTE format('DROP INDEX %I', noted);
    END LOOP;
END $$;

-- name: note_made
-- An index is there again.
DELETE FROM deferred_indexes WHERE name = $1;
