DO $$
BEGIN
    IF EXISTS (SELECT FROM deferred_indexes) THEN
        RAISE EXCEPTION 'a first fill has dropped indexes: run the indexer until it has made them';
    END IF;
END $$;
DROP TABLE deferred_indexes;
