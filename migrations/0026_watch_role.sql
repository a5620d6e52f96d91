-- A role that may begin watches and do nothing else.
-- depends: 0025_shutdown

CREATE FUNCTION start_watch_as_owner(hash text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$ SELECT start_watch(hash) $$;
REVOKE ALL ON FUNCTION start_watch_as_owner(text) FROM PUBLIC;
COMMENT ON FUNCTION start_watch_as_owner(text) IS 'start_watch with the rights of the tables'' owner: EXECUTE on it is all that a role needs to begin watches.';
