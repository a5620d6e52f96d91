-- name: indexes
-- Every index of the schema that is there, whether it is valid, and what it is.
SELECT t.relname AS table_name, c.relname AS index_name, i.indisvalid AS is_valid,
    pg_get_indexdef(c.oid) AS definition
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = to_regnamespace(quote_ident(current_schema()))::oid;
