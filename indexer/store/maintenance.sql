-- name: try
-- One maintenance at a time: take its lock if it is free.
SELECT pg_try_advisory_lock($1::bigint);

-- name: tables
-- The tables of the schema, the largest first: sizes in bytes, rows by the statistics, last times.
SELECT c.relname AS name,
    pg_total_relation_size(c.oid) AS total_bytes,
    pg_indexes_size(c.oid) AS index_bytes,
    COALESCE(s.n_live_tup, 0) AS live_rows,
    COALESCE(s.n_dead_tup, 0) AS dead_rows,
    GREATEST(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
    GREATEST(s.last_analyze, s.last_autoanalyze) AS analyzed_at
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema()))::oid AND c.relkind IN ('r', 'p')
    AND c.relname NOT LIKE '\_yoyo\_%' AND c.relname <> 'yoyo_lock'
ORDER BY pg_total_relation_size(c.oid) DESC, c.relname;

-- name: indexes
-- The indexes of the schema's tables. `key` is equal for indexes of the same columns, order and
-- rows; `columns` is empty where the index covers a part of the rows or is no B-tree. A B-tree's
-- expected bytes: rows × (8 of header, 4 of pointer, the columns' average widths) in pages filled
-- to nine tenths; none where the statistics do not know a column.
SELECT t.relname AS table_name,
    x.relname AS name,
    i.indisvalid AS is_valid,
    i.indisunique OR i.indisexclusion AS is_constraint,
    i.indisexclusion AS is_exclusion,
    COALESCE(s.idx_scan, 0) AS scans,
    pg_relation_size(x.oid) AS bytes,
    concat_ws(' ', m.amname, i.indkey::text, i.indclass::text, i.indcollation::text,
        i.indoption::text, pg_get_expr(i.indexprs, t.oid), pg_get_expr(i.indpred, t.oid)) AS key,
    CASE WHEN i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'
        THEN i.indkey::smallint[]::text[] ELSE ARRAY[]::text[] END AS columns,
    CASE WHEN m.amname = 'btree' AND i.indpred IS NULL AND x.reltuples >= 0 AND w.known = w.wanted
        THEN (8192 + 8192 * ceil(x.reltuples * (12 + w.bytes) / (8192 * 0.9)))::bigint
        END AS expected_bytes
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_am m ON m.oid = x.relam
LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
CROSS JOIN LATERAL (
    SELECT count(*) AS wanted, count(p.avg_width) AS known, sum(p.avg_width) AS bytes
    FROM unnest(i.indkey::smallint[]) AS k (attnum)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    LEFT JOIN pg_stats p ON p.schemaname = current_schema() AND p.tablename = t.relname
        AND p.attname = a.attname AND NOT p.inherited
) AS w
WHERE t.relnamespace = to_regnamespace(quote_ident(current_schema()))::oid AND x.relkind = 'i'
    AND t.relname NOT LIKE '\_yoyo\_%' AND t.relname <> 'yoyo_lock'
ORDER BY t.relname, x.relname;

-- name: builds
-- Whether another session builds an index of this database now.
SELECT EXISTS (
    SELECT FROM pg_stat_progress_create_index
    WHERE datname = current_database() AND pid <> pg_backend_pid()
);

-- name: size
-- The bytes of a table with its indexes, or of an index; none where it is gone.
SELECT pg_total_relation_size(to_regclass(quote_ident(current_schema()) || '.' || quote_ident($1)));
