REVOKE ALL ON
    vesu_guide.vesu_pools, vesu_guide.vesu_positions, vesu_guide.vesu_transactions,
    vesu_guide.vesu_liquidations, vesu_guide.users FROM PUBLIC;
REVOKE ALL ON SCHEMA vesu_guide FROM PUBLIC;
DROP TRIGGER take_out ON vesu_guide.vesu_transactions;
DROP TRIGGER amend ON vesu_guide.vesu_transactions;
DROP TRIGGER submit ON vesu_guide.vesu_transactions;
DROP TRIGGER refuse ON vesu_guide.vesu_liquidations;
DROP TRIGGER refuse ON vesu_guide.vesu_positions;
DROP TRIGGER refuse ON vesu_guide.vesu_pools;
DROP TRIGGER map_wallet ON vesu_guide.users;
DROP FUNCTION vesu_guide.take_out();
DROP FUNCTION vesu_guide.amend();
DROP FUNCTION vesu_guide.submit();
DROP FUNCTION start_watch(text);
DROP FUNCTION vesu_guide.refuse();
DROP FUNCTION vesu_guide.map_wallet();
