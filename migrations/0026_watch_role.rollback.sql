DROP FUNCTION start_watch_as_owner(text);
