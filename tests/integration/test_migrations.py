"""The migrations: through yoyo's own command line and ours, there and back, and what they make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent import futures
from pathlib import Path
from typing import Any

import psycopg
import pytest

from indexer import errors
from indexer.commands import migrate as command
from indexer.store import database, locks, migrate
from tests import postgres
from tests.integration import embedded_stage as stage

ROOT = Path(__file__).parents[2]

# What the contract promises; more may be there.
KEYED = "block_number transaction_index event_index"
ASSET = (
    "total_collateral_shares total_nominal_debt reserve max_utilization floor scale last_updated "
    "last_rate_accumulator last_full_utilization_rate fee_rate fee_shares price price_is_valid "
    "price_block"
)
POSITION = (
    "user_id collateral_address debt_address v_token kind collateral_shares nominal_debt "
    "vtoken_balance_raw"
)
PROMISED = {
    "events": f"{KEYED} block_hash transaction_hash from_address keys data contract name args",
    "observations": "block_number block_hash contract view calldata result",
    "blocks": "number hash parent_hash timestamp finality verified",
    "reorgs": "detected_at ancestor_number ancestor_hash old_number old_hash new_number new_hash "
    "depth events_orphaned rows_restored",
    "orphaned_events": f"{KEYED} block_hash transaction_hash from_address keys data",
    "cursor": "block_number block_hash",
    "vesu_pools": "id pool_id pool_address protocol name collateral_asset debt_asset "
    "collateral_address debt_address max_ltv liquidation_threshold liquidation_bonus debt_cap "
    "total_supply total_borrow utilization supply_apy borrow_apy collateral_supply_apy "
    "pair_collateral pair_debt is_active is_paused last_synced_at last_synced_block created_at",
    "vesu_assets": f"id pool_id asset_address {ASSET} symbol decimals v_token utilization "
    "supply_apy borrow_apy block_number",
    "vesu_positions": f"id pool_id pool_address protocol {POSITION} collateral_asset debt_asset "
    "vtoken_balance collateral_raw debt_raw collateral_amount debt_amount collateral_value_usd "
    "debt_value_usd ltv health_factor liquidation_price status valued_at valued_at_block "
    "last_updated last_event_block created_at",
    "vesu_transactions": "id pool_id position_id user_id transaction_hash transaction_index "
    "event_index leg type asset asset_address amount amount_raw status block_number timestamp "
    "gas_used fee_unit error_message created_at",
    "vesu_liquidations": "id pool_id position_id user_id liquidator_address transaction_hash "
    "transaction_index event_index collateral_asset debt_asset collateral_seized "
    "collateral_seized_raw debt_repaid debt_repaid_raw bad_debt bad_debt_raw liquidation_bonus "
    "collateral_price debt_price block_number timestamp created_at",
    "vesu_position_history": f"{KEYED} id pool_id {POSITION}",
    "vesu_asset_history": f"{KEYED} id pool_id asset_address {ASSET}",
    **dict.fromkeys(
        ("vesu_prices", "vesu_event_prices", "vesu_sampled_prices"),
        "pool_id asset_address block_number block_hash timestamp price is_valid source",
    ),
    "vesu_pool_history": f"{KEYED} id pool_id collateral_address debt_address "
    "pair_collateral_shares pair_nominal_debt",
    "indexer_status": "committed_block committed_hash committed_at age_seconds head_block "
    "lag_blocks finalised_block fork_counter",
}


COMMENTS_RESTORED_FROM = "0042"
"""Earlier migrations, when taken back, leave some comments as they made them."""


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        return answer.fetchall() if answer.description else []


def catalogue(url: str) -> set[tuple[str, str]]:
    """What migrations may leave: relations with options, columns, types, functions, schemas."""
    return set(
        rows(
            url,
            """
            WITH ours AS (
                SELECT oid, nspname || '.' AS place FROM pg_namespace
                WHERE nspname IN ('public', 'vesu_guide')
            )
            SELECT 'relation', place || relname
            FROM pg_class JOIN ours ON ours.oid = relnamespace WHERE relname !~ 'yoyo'
            UNION SELECT 'column', place || c.relname || '.' || a.attname
            FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN ours ON ours.oid = c.relnamespace
            WHERE c.relname !~ 'yoyo' AND a.attnum > 0 AND NOT a.attisdropped
            UNION SELECT 'option', place || relname || ' ' || option
            FROM pg_class JOIN ours ON ours.oid = relnamespace, unnest(reloptions) AS option
            UNION SELECT 'type', place || typname FROM pg_type JOIN ours ON ours.oid = typnamespace
            WHERE typname !~ 'yoyo'
            UNION SELECT 'function', place || proname
            FROM pg_proc JOIN ours ON ours.oid = pronamespace
            UNION SELECT 'trigger', tgrelid::regclass || '.' || tgname FROM pg_trigger
            WHERE NOT tgisinternal
            UNION SELECT 'right of everybody', place || relname
            FROM pg_class JOIN ours ON ours.oid = relnamespace WHERE relacl::text ~ '[{,]='
            UNION SELECT 'schema', nspname FROM pg_namespace WHERE nspname !~ '^pg_'
            UNION SELECT 'extension', extname FROM pg_extension""",
        )
    )


def comments(url: str) -> set[tuple[str, int, str]]:
    """What tables, columns and indexes say of themselves."""
    return set(
        rows(
            url,
            """
            SELECT objoid::regclass::text, objsubid, description FROM pg_description
            WHERE classoid = 'pg_class'::regclass AND objoid >= 16384""",
        )
    )


def yoyo(url: str, *arguments: str, expect: int = 0) -> str:
    """yoyo's own command line in the checkout, as the README says it."""
    done = subprocess.run(
        [Path(sys.executable).parent / "yoyo", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- there and back -------------------------------------------------------------------------


async def test_yoyo_there_and_back_and_there_again(empty_database_url: str) -> None:
    url, command_url = empty_database_url, postgres.yoyo_url(empty_database_url)
    before = catalogue(url)
    yoyo(command_url, "apply")
    made = catalogue(url)
    assert migrate.pending(url) == []
    relations = {name for kind, name in made if kind == "relation"}
    assert relations >= {f"public.{name}" for name in PROMISED}
    yoyo(command_url, "rollback", "--all")
    assert catalogue(url) == before
    assert migrate.applied(url) == []
    yoyo(command_url, "apply")
    assert catalogue(url) == made


async def test_ours_there_and_back_and_there_again(empty_database_url: str) -> None:
    before = catalogue(empty_database_url)
    assert migrate.apply(empty_database_url) == migrate.known()
    made = catalogue(empty_database_url)
    assert migrate.apply(empty_database_url) == []
    assert migrate.rollback(empty_database_url) == migrate.known()[::-1]
    assert catalogue(empty_database_url) == before
    assert migrate.rollback(empty_database_url) == []
    assert migrate.apply(empty_database_url) == migrate.known()
    assert catalogue(empty_database_url) == made


async def test_each_migration_can_be_taken_back_by_itself(empty_database_url: str) -> None:
    url = empty_database_url
    for revision in migrate.known():
        before, commented = catalogue(url), comments(url)
        with migrate._connected(url) as connection, migrate._alone(connection, url) as backend:
            (todo,) = [one for one in backend.to_apply(migrate._read()) if one.id == revision]
            migrate._move(backend, todo, "apply")
            made = catalogue(url)
            assert (made, comments(url)) != (before, commented)
            migrate._move(backend, todo, "rollback")
            assert catalogue(url) == before
            assert comments(url) == commented or revision < COMMENTS_RESTORED_FROM
            migrate._move(backend, todo, "apply")
            assert catalogue(url) == made


async def test_seals_that_an_earlier_release_cannot_read_go_with_their_migration(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    migrate.apply(url)
    rows(
        url,
        "INSERT INTO blocks (number, hash, timestamp, finality, seal) VALUES "
        "(1, '0x1', now(), 'ACCEPTED_ON_L2', 'ab'), (2, '0x2', now(), 'ACCEPTED_ON_L2', '2:ab')",
    )
    with migrate._connected(url) as connection, migrate._alone(connection, url) as backend:
        later = [one for one in backend.to_rollback(migrate._read()) if one.id >= "0043"]
        for migration in later:
            migrate._move(backend, migration, "rollback")
    assert rows(url, "SELECT number, seal FROM blocks ORDER BY 1") == [(1, "ab"), (2, None)]


async def test_a_shadow_goes_with_the_tables(empty_database_url: str) -> None:
    before = catalogue(empty_database_url)
    migrate.apply(empty_database_url)
    rows(empty_database_url, "CREATE SCHEMA vesu_shadow CREATE TABLE progress (block_number int)")
    migrate.rollback(empty_database_url)
    assert catalogue(empty_database_url) == before


async def test_what_yoyo_applied_ours_knows_and_the_other_way(empty_database_url: str) -> None:
    yoyo(postgres.yoyo_url(empty_database_url), "apply", "--revision", migrate.known()[1])
    assert migrate.applied(empty_database_url) == migrate.known()[:2]
    assert migrate.apply(empty_database_url) == migrate.known()[2:]
    assert re.findall(r"^U ", yoyo(postgres.yoyo_url(empty_database_url), "list"), re.M) == []
    assert yoyo(postgres.yoyo_url(empty_database_url), "apply").count("Applying") == 0


# --- what they make -------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def made_url() -> AsyncIterator[str]:
    """One migrated database for the tests that only look."""
    async with postgres.fresh_database(migrated=True) as url:
        yield url


async def test_every_promised_table_and_column_is_there(made_url: str) -> None:
    found: dict[str, set[str]] = {}
    statement = """
        SELECT attrelid::regclass::text, attname
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'p') AND attnum > 0
    """
    for table, column in rows(made_url, statement):
        found.setdefault(table, set()).add(column)
    missing = {
        table: lacking
        for table, columns in PROMISED.items()
        if (lacking := set(columns.split()) - found.get(table, set()))
    }
    assert missing == {}


async def test_every_table_and_column_has_a_comment(made_url: str) -> None:
    statement = """
        SELECT c.relname, a.attname
        FROM pg_class c
        JOIN (SELECT attrelid, attnum, attname FROM pg_attribute WHERE NOT attisdropped
              UNION ALL SELECT oid, 0, 'itself' FROM pg_class) a ON a.attrelid = c.oid
        WHERE c.relnamespace IN ('public'::regnamespace, 'vesu_guide'::regnamespace)
            AND c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum >= 0 AND c.relname !~ 'yoyo'
            AND coalesce(length(col_description(c.oid, a.attnum)),
                         length(obj_description(c.oid, 'pg_class')) * (a.attnum = 0)::int, 0) < 6
    """
    assert rows(made_url, statement) == []


async def test_exact_integers_have_exact_types(made_url: str) -> None:
    statement = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
            AND (a.attname ~ '(_raw|_shares|_debt_raw|nominal_debt|_price|^price)$'
                 OR a.attname LIKE '%accumulator')
    """
    types = {(table, column): kind for table, column, kind in rows(made_url, statement)}
    assert ("vesu_assets", "last_rate_accumulator") in types
    human = {("vesu_positions", "liquidation_price")}
    wrong = {key: kind for key, kind in types.items() if kind not in ("numeric(78,0)", "boolean")}
    assert wrong.keys() == human
    floats = "SELECT relname, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE "
    floats += "atttypid IN ('real'::regtype, 'float8'::regtype) AND relname ~ '^(vesu|events)'"
    assert rows(made_url, floats) == []


async def test_keys_can_be_distributed_by_pool(made_url: str) -> None:
    statement = """
        SELECT t.relname, bool_or(a.attname = 'pool_id')
        FROM pg_index i
        JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey::int2[])
        WHERE i.indisunique AND t.relname LIKE 'vesu\\_%'
        GROUP BY t.relname, i.indexrelid
    """
    keys = rows(made_url, statement)
    tables = rows(made_url, "SELECT tablename FROM pg_tables WHERE tablename LIKE 'vesu\\_%'")
    assert {tuple(row) for row in keys} == {(name, True) for (name,) in tables}
    triggers = """
        SELECT tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
        WHERE NOT tgisinternal AND relkind <> 'v' AND relnamespace = 'public'::regnamespace
    """
    assert rows(made_url, triggers) == []


async def test_foreign_keys_of_the_guide(made_url: str) -> None:
    statement = """
        SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated
        FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'vesu\\_%'
    """
    assert set(rows(made_url, statement)) == {
        ("vesu_positions", "vesu_pools", True),
        ("vesu_transactions", "vesu_positions", True),
        ("vesu_liquidations", "vesu_positions", True),
        ("vesu_guide.submissions", "watches", True),
    }


# --- what may go wrong ----------------------------------------------------------------------


async def test_a_newer_database_is_refused(migrated_database_url: str) -> None:
    rows(
        migrated_database_url,
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
        "VALUES ('x', '9999_tomorrow', now())",
    )
    for act in (migrate.apply, migrate.rollback):
        with pytest.raises(errors.SchemaError, match=r"9999_tomorrow.*newer.*upgrade"):
            act(migrated_database_url)


async def test_a_lock_that_a_killed_migrator_left_is_cleared(empty_database_url: str) -> None:
    yoyo(postgres.yoyo_url(empty_database_url), "apply", "--revision", migrate.known()[0])
    statement = "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)"
    rows(empty_database_url, statement)
    assert migrate.apply(empty_database_url) == migrate.known()[1:]
    assert rows(empty_database_url, "SELECT * FROM yoyo_lock") == []


async def test_a_kill_between_making_and_noting_leaves_neither(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yoyo.backends

    def die(*_: object, **__: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patched:
        patched.setattr(yoyo.backends.DatabaseBackend, "mark_one", die)
        with pytest.raises(SystemExit):
            migrate.apply(empty_database_url)
    assert migrate.apply(empty_database_url) == migrate.known()


async def test_two_processes_migrate_at_once(empty_database_url: str) -> None:
    script = "import sys; from indexer.store import migrate; print(migrate.apply(sys.argv[1]))"

    def one() -> str:
        command = [sys.executable, "-c", script, empty_database_url]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    with futures.ThreadPoolExecutor(2) as pool:
        said = sorted(future.result() for future in [pool.submit(one), pool.submit(one)])
    assert said == [f"{migrate.known()}\n", "[]\n"]


async def test_waiting_for_another_migrator_ends(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "TURN_SECONDS", 0.2)
    with psycopg.connect(empty_database_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (migrate.MIGRATE_KEY,))
        with pytest.raises(errors.WriterConflictError, match="try again when it is done"):
            migrate.apply(empty_database_url)


async def test_tables_are_not_taken_from_under_a_writer(migrated_database_url: str) -> None:
    async with locks.WriterLock(migrated_database_url):
        with pytest.raises(errors.WriterConflictError, match="stop it"):
            await command._rolled_back(migrated_database_url)
    assert migrate.pending(migrated_database_url) == []
    assert await command._rolled_back(migrated_database_url)


async def test_tables_of_somebody_else_are_left_alone(empty_database_url: str) -> None:
    rows(empty_database_url, "CREATE TABLE vesu_pools AS SELECT 1 AS theirs")
    with pytest.raises(errors.SchemaError, match="which the indexer did not make"):
        migrate.apply(empty_database_url)
    assert rows(empty_database_url, "SELECT theirs FROM vesu_pools") == [(1,)]


async def test_a_role_without_the_right_to_create(empty_database_url: str) -> None:
    role = f"reader_{os.getpid()}"
    rows(empty_database_url, f"CREATE ROLE {role} LOGIN")
    try:
        rows(empty_database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        join = "&" if "?" in empty_database_url else "?"
        url = f"{empty_database_url}{join}options=-crole%3D{role}"
        with pytest.raises(errors.DatabaseRightsError, match=r"GRANT CREATE") as caught:
            migrate.apply(url)
        assert "\n" not in str(caught.value)
    finally:
        rows(empty_database_url, f"DROP ROLE {role}")


async def test_a_standby_is_refused(empty_database_url: str) -> None:
    name = empty_database_url.partition("?")[0].rpartition("/")[2]
    rows(
        empty_database_url,
        f'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
    )
    with pytest.raises(errors.DatabaseRightsError, match="read-only"):
        migrate.apply(empty_database_url)


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/x", errors.DatabaseUnavailableError, "refused"),
        ("postgresql://u:s3cret@nowhere.invalid/x", errors.DatabaseUnavailableError, "resolve"),
        ("postgresql://u:s3cret@127.0.0.1/x?color=red", errors.ConfigError, "color"),
        ("postgresql://u:s3cret@[::1/x", errors.ConfigError, "cannot be read"),
        ("mysql://u:s3cret@127.0.0.1/x", errors.ConfigError, "postgresql://"),
    ],
)
def test_a_database_that_cannot_be_reached(url: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        migrate.apply(url)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_server_is_one_of_those_promised() -> None:
    number = int(stage.ask(postgres.server_url(), "SHOW server_version_num"))
    assert number // 10_000 >= database.OLDEST_SERVER
