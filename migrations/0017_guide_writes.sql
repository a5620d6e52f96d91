-- What an application may write in the schema vesu_guide, and what is refused.
-- depends: 0016_guide

-- The functions below run with the indexer's rights, whatever the caller's search_path is.
DO $$ BEGIN PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false); END $$;

-- Deferred to the application's commit: the writer may add the same wallet, and waits for
-- no application that leaves its transaction open.
CREATE FUNCTION vesu_guide.map_wallet() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE wallets SET user_id = wallet_uuid(wallet_address)
        WHERE wallet_address = OLD.address
            AND NOT EXISTS (SELECT 1 FROM vesu_guide.users u WHERE u.address = OLD.address);
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO wallets (wallet_address, user_id)
        SELECT u.address, u.user_id FROM vesu_guide.users u WHERE u.address = NEW.address
        ON CONFLICT (wallet_address) DO UPDATE SET user_id = excluded.user_id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION vesu_guide.map_wallet() IS 'Keeps wallets as vesu_guide.users says.';
CREATE CONSTRAINT TRIGGER map_wallet AFTER INSERT OR UPDATE OR DELETE ON vesu_guide.users
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION vesu_guide.map_wallet();

CREATE FUNCTION vesu_guide.refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % refused: its rows are what the chain says, made by the indexer from events, and nobody writes them by hand',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION vesu_guide.refuse() IS 'Refuses a write in one sentence.';
CREATE TRIGGER refuse INSTEAD OF INSERT OR UPDATE OR DELETE ON vesu_guide.vesu_pools
FOR EACH ROW EXECUTE FUNCTION vesu_guide.refuse();
CREATE TRIGGER refuse INSTEAD OF INSERT OR UPDATE OR DELETE ON vesu_guide.vesu_positions
FOR EACH ROW EXECUTE FUNCTION vesu_guide.refuse();
CREATE TRIGGER refuse INSTEAD OF INSERT OR UPDATE OR DELETE ON vesu_guide.vesu_liquidations
FOR EACH ROW EXECUTE FUNCTION vesu_guide.refuse();

-- Rows that are settled are left alone, unlocked too: a rollback of the writer's changes them.
CREATE FUNCTION start_watch(hash text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT 1 FROM watches WHERE status = 'pending' LIMIT 10000) AS open) = 10000
        AND NOT EXISTS (SELECT 1 FROM watches WHERE transaction_hash = padded_felt(hash))
    THEN
        RAISE EXCEPTION '10000 transactions are watched and not decided, which is the limit: wait until some are, or delete rows of watches'
            USING ERRCODE = 'configuration_limit_exceeded';
    END IF;
    INSERT INTO watches (transaction_hash) VALUES (padded_felt(hash)) ON CONFLICT DO NOTHING;
    UPDATE watches SET status = 'pending', started_at = now(), settled_at = NULL, ask_at = now()
    WHERE transaction_hash = padded_felt(hash) AND status = 'dropped';
END
$$;
COMMENT ON FUNCTION start_watch(text) IS 'Begins to watch a transaction, or begins again with one that was dropped; one that is watched stays as it is.';

CREATE FUNCTION vesu_guide.submit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF COALESCE(NEW.status, 'pending') NOT IN ('pending', 'failed')
        OR EXISTS (SELECT 1 FROM vesu_transactions WHERE id = NEW.id)
    THEN
        RAISE EXCEPTION 'INSERT of a % row refused: that a transaction is confirmed is the chain''s word alone, so insert it as pending, and it is shown as confirmed once the chain has it',
            COALESCE(NEW.status, 'pending') USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.id := COALESCE(NEW.id, gen_random_uuid());
    NEW.transaction_hash := padded_felt(NEW.transaction_hash);
    NEW.status := COALESCE(NEW.status, 'pending');
    NEW.error_message := CASE NEW.status WHEN 'failed' THEN NEW.error_message END;
    NEW.created_at := COALESCE(NEW.created_at, now());
    NEW.updated_at := COALESCE(NEW.updated_at, NEW.created_at);
    NEW.block_number := NULL;
    NEW.timestamp := NULL;
    NEW.gas_used := NULL;
    NEW.deleted_at := NULL;
    PERFORM start_watch(NEW.transaction_hash);
    INSERT INTO vesu_guide.submissions (
        id, transaction_hash, type, asset, position_id, user_id, amount, status, error_message,
        created_at, updated_at
    ) VALUES (
        NEW.id, NEW.transaction_hash, NEW.type, NEW.asset, NEW.position_id, NEW.user_id, NEW.amount,
        NEW.status, NEW.error_message, NEW.created_at, NEW.updated_at
    );
    RETURN NEW;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'INSERT refused: a row of the application''s with the id % or with transaction %, type % and asset % is there already, so update that one',
        NEW.id, NEW.transaction_hash, NEW.type, NEW.asset USING ERRCODE = 'unique_violation';
END
$$;
COMMENT ON FUNCTION vesu_guide.submit() IS 'Keeps a pending row of the application''s, and watches its transaction.';
CREATE TRIGGER submit INSTEAD OF INSERT ON vesu_guide.vesu_transactions
FOR EACH ROW EXECUTE FUNCTION vesu_guide.submit();

CREATE FUNCTION vesu_guide.amend() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    is_decided CONSTANT boolean := OLD.block_number IS NOT NULL;
    is_ours CONSTANT boolean := EXISTS (SELECT 1 FROM vesu_guide.submissions WHERE id = OLD.id);
BEGIN
    IF NOT is_ours OR (
        is_decided AND (
            NEW.deleted_at IS NOT NULL
            OR NEW.status NOT IN (OLD.status, 'confirmed')
            OR (NEW.id, NEW.position_id, NEW.user_id, NEW.transaction_hash, NEW.type, NEW.asset, NEW.amount)
                IS DISTINCT FROM
                (OLD.id, OLD.position_id, OLD.user_id, OLD.transaction_hash, OLD.type, OLD.asset, OLD.amount)
        )
    ) THEN
        RAISE EXCEPTION '% of transaction % refused: the chain has it in block %, as %, and what the chain says is not written by hand',
            CASE WHEN NEW.deleted_at IS NULL THEN 'UPDATE' ELSE 'DELETE' END,
            OLD.transaction_hash, OLD.block_number, OLD.status USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF is_decided THEN
        RETURN OLD;  -- The chain's block, time and fee are shown already.
    END IF;
    IF NEW.deleted_at IS NOT NULL THEN
        DELETE FROM vesu_guide.submissions WHERE id = OLD.id;
        RETURN NEW;
    END IF;
    NEW.id := OLD.id;
    NEW.transaction_hash := padded_felt(NEW.transaction_hash);
    NEW.status := CASE NEW.status WHEN 'confirmed' THEN 'pending' ELSE NEW.status END;
    NEW.error_message := CASE NEW.status WHEN 'failed' THEN NEW.error_message END;
    NEW.block_number := NULL;
    NEW.timestamp := NULL;
    NEW.gas_used := NULL;
    IF NEW.transaction_hash <> OLD.transaction_hash THEN
        PERFORM start_watch(NEW.transaction_hash);
    END IF;
    UPDATE vesu_guide.submissions
    SET (transaction_hash, type, asset, position_id, user_id, amount, status, error_message, updated_at) = (
        NEW.transaction_hash, NEW.type, NEW.asset, NEW.position_id, NEW.user_id, NEW.amount,
        NEW.status, NEW.error_message, now()
    )
    WHERE id = OLD.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION vesu_guide.amend() IS 'Changes a row of the application''s while the chain has not decided it; after that confirmed may be said, and changes nothing.';
CREATE TRIGGER amend INSTEAD OF UPDATE ON vesu_guide.vesu_transactions
FOR EACH ROW EXECUTE FUNCTION vesu_guide.amend();

CREATE FUNCTION vesu_guide.take_out() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF OLD.block_number IS NULL THEN
        DELETE FROM vesu_guide.submissions WHERE id = OLD.id;
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'DELETE of transaction % refused: the chain has it in block %, as %, and what the chain says is not written by hand',
        OLD.transaction_hash, OLD.block_number, OLD.status USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION vesu_guide.take_out() IS 'Takes a row of the application''s out that the chain has not decided.';
CREATE TRIGGER take_out INSTEAD OF DELETE ON vesu_guide.vesu_transactions
FOR EACH ROW EXECUTE FUNCTION vesu_guide.take_out();

-- Whoever may connect to this database may read these rows; what is written here the triggers judge.
GRANT USAGE ON SCHEMA vesu_guide TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    vesu_guide.vesu_pools, vesu_guide.vesu_positions, vesu_guide.vesu_transactions,
    vesu_guide.vesu_liquidations, vesu_guide.users TO PUBLIC;
