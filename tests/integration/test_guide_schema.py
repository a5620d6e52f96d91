"""The schema vesu_guide on generated rows: what it shows, refuses, and by which indexes."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from indexer.projections import rows, wallets
from tests import postgres
from tests.integration import guide_stage

POSITIONS = 20_000
USER = uuid.UUID("11111111-2222-4333-8444-555555555555")
ROW = uuid.UUID("99999999-2222-4333-8444-555555555555")
REFUSED = asyncpg.InsufficientPrivilegeError

INSERT = """
INSERT INTO vesu_transactions (
    id, position_id, user_id, transaction_hash, type, asset, amount, status, created_at, updated_at
) VALUES ($1, NULL, $2, $3, $4, $5, 12.5, $6, now(), now())
RETURNING id, transaction_hash, status, block_number, deleted_at
"""


@pytest.fixture(scope="module")
async def filled_url() -> AsyncIterator[str]:
    async for url in guide_stage.filled(POSITIONS):
        yield url


@pytest.fixture
async def app(filled_url: str) -> AsyncIterator[asyncpg.Connection]:
    """An application's connection; what it wrote is taken back."""
    async with connected(filled_url, "postgres") as connection:
        yield connection


@contextlib.asynccontextmanager
async def connected(url: str, role: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"SET ROLE {role}; SET search_path = vesu_guide, public")
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


CHAIN_HASH = hash_of(1_000_005)
"""It has a supply of ETH (event 0) and a borrow of USDC (event 1)."""


async def submit(
    app: asyncpg.Connection,
    of: str = CHAIN_HASH,
    kind: str = "borrow",
    asset: str = "usdc",
    status: str = "pending",
    row_id: uuid.UUID = ROW,
) -> asyncpg.Record:
    record = await app.fetchrow(INSERT, row_id, USER, of, kind, asset, status)
    assert record is not None
    return record


async def shown(app: asyncpg.Connection, row_id: uuid.UUID = ROW) -> asyncpg.Record:
    record = await app.fetchrow("SELECT * FROM vesu_transactions WHERE id = $1", row_id)
    assert record is not None
    return record


# --- ids and addresses ----------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 38, 39, 40, 47, 48, 66, 103, 104, 200])
async def test_postgresql_makes_the_ids_that_python_makes(
    app: asyncpg.Connection, length: int
) -> None:
    """Every shape of SHA-1's padding: 16 bytes of namespace stand before the text."""
    text = "".join(chr(97 + at % 26) for at in range(length))
    assert await app.fetchval("SELECT wallet_uuid($1)", text) == uuid.uuid5(rows.NAMESPACE, text)


async def test_a_wallet_has_one_user_in_sql_and_python(app: asyncpg.Connection) -> None:
    address = rows.padded(0x49D36570D4E46F48E99674BD3FCC84644DDD6B96F7C741B1562B82F9E004DC7)
    assert wallets.user_id(address) == str(await app.fetchval("SELECT wallet_uuid($1)", address))


@pytest.mark.parametrize(
    ("text", "padded"),
    [
        ("0x1", hash_of(1)),
        ("0X00Ab", hash_of(0xAB)),
        (hash_of(2**251 + 17 * 2**192), hash_of(2**251 + 17 * 2**192)),
    ],
)
async def test_felts_are_padded(app: asyncpg.Connection, text: str, padded: str) -> None:
    assert await app.fetchval("SELECT padded_felt($1)", text) == padded


@pytest.mark.parametrize(
    "text", ["", "0x", "1", "0xg", f"0x1{'0' * 64}", hash_of(2**251 + 17 * 2**192 + 1)]
)
async def test_what_is_no_felt_is_refused(app: asyncpg.Connection, text: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="is not an address or hash"):
        await app.fetchval("SELECT padded_felt($1)", text)


# --- what is shown --------------------------------------------------------------------------


async def test_people_s_rows_alone_are_shown(app: asyncpg.Connection) -> None:
    kinds = await app.fetch("SELECT kind, count(*) AS n FROM vesu_positions GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in kinds] == [
        ("borrow", POSITIONS * 8 // 10),
        ("earn", POSITIONS // 10),
    ]
    for table in ("vesu_pools", "vesu_transactions", "vesu_liquidations"):
        ours = await app.fetchval(f"SELECT count(*) FROM {table} WHERE deleted_at IS NULL")
        assert ours == await app.fetchval(f"SELECT count(*) FROM public.{table}")


async def test_users_of_the_application_stand_for_their_wallets(filled_url: str) -> None:
    wallet = hash_of(0xAB)
    derived = await postgres.value(
        filled_url, "SELECT user_id FROM wallets WHERE wallet_address = $1", wallet
    )

    async def users_of(table: str) -> set[uuid.UUID]:
        found = await postgres.fetch(
            filled_url,
            f"SELECT DISTINCT user_id FROM vesu_guide.{table} WHERE user_address = $1",
            wallet,
        )
        return {row["user_id"] for row in found}

    unpadded = f"INSERT INTO vesu_guide.users VALUES ('{USER}', '0X00aB')"
    await postgres.execute(filled_url, unpadded)
    assert await users_of("vesu_positions") == await users_of("vesu_transactions") == {USER}
    count = "SELECT count(*) FROM vesu_guide.vesu_positions WHERE user_id = $1"
    assert await postgres.value(filled_url, count, USER) == await postgres.value(
        filled_url,
        "SELECT count(*) FROM vesu_positions WHERE user_id = $1 AND kind <> 'system'",
        wallet,
    )
    assert await postgres.value(filled_url, count, derived) == 0
    with pytest.raises(asyncpg.UniqueViolationError):
        await postgres.execute(
            filled_url, f"INSERT INTO vesu_guide.users VALUES ('{ROW}', '{wallet}')"
        )
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await postgres.execute(filled_url, f"INSERT INTO vesu_guide.users VALUES ('{ROW}', 'x')")
    await postgres.execute(filled_url, "UPDATE vesu_guide.users SET wallet_address = '0xac'")
    assert await users_of("vesu_positions") == {
        await postgres.value(filled_url, "SELECT wallet_uuid($1)", wallet)
    }
    await postgres.execute(filled_url, "DELETE FROM vesu_guide.users")
    assert await postgres.value(filled_url, count, USER) == 0


# --- what may not be written ----------------------------------------------------------------


@pytest.mark.parametrize("table", ["vesu_pools", "vesu_positions", "vesu_liquidations"])
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO {} (id) VALUES (gen_random_uuid())", "UPDATE {} SET id = id", "DELETE FROM {}"],
)
async def test_what_the_chain_says_is_not_written(
    app: asyncpg.Connection, table: str, statement: str
) -> None:
    with pytest.raises(REFUSED, match=f"of {table} refused: its rows are what the chain says"):
        await app.execute(statement.format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vesu_transactions SET amount = 1 WHERE transaction_hash = $1",
        "UPDATE vesu_transactions SET deleted_at = now() WHERE transaction_hash = $1",
        "DELETE FROM vesu_transactions WHERE transaction_hash = $1",
    ],
)
async def test_a_confirmed_row_is_not_written(app: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(REFUSED, match=r"refused: the chain has it in block \d+, as confirmed"):
        await app.execute(statement, CHAIN_HASH)


async def test_confirmed_is_the_chains_word(app: asyncpg.Connection) -> None:
    with pytest.raises(REFUSED, match="the chain's word alone, so insert it as pending"):
        await submit(app, status="confirmed")


# --- the application's pending rows ---------------------------------------------------------


async def test_a_pending_row_starts_a_watch(app: asyncpg.Connection) -> None:
    record = await submit(app, "0xABcd", "supply", "ETH")
    assert dict(record) == {
        "id": ROW,
        "transaction_hash": hash_of(0xABCD),
        "status": "pending",
        "block_number": None,
        "deleted_at": None,
    }
    assert await app.fetchval("SELECT status FROM watches") == "pending"
    assert (await shown(app))["amount"] == 12.5
    pending = "SELECT id FROM vesu_transactions WHERE status = 'pending'"
    assert await app.fetchval(pending) == ROW
    await app.execute("DELETE FROM vesu_transactions WHERE id = $1", ROW)
    assert await app.fetchval(pending) is None


async def test_the_application_may_give_up_and_take_that_back(app: asyncpg.Connection) -> None:
    await submit(app, "0xabcd")
    change = "UPDATE vesu_transactions SET status = $2, error_message = $3 WHERE id = $1"
    await app.execute(change, ROW, "failed", "the wallet refused")
    row = await shown(app)
    assert (row["status"], row["error_message"]) == ("failed", "the wallet refused")
    claim = "UPDATE vesu_transactions SET status = 'confirmed', block_number = 5, "
    claim += "timestamp = now(), gas_used = 0.001 WHERE id = $1 RETURNING status, block_number"
    assert tuple(await app.fetchrow(claim, ROW) or ()) == ("pending", None)
    row = await shown(app)
    assert (row["status"], row["error_message"], row["gas_used"]) == ("pending", None, None)
    await app.execute("UPDATE vesu_transactions SET deleted_at = now() WHERE id = $1", ROW)
    assert await app.fetchval("SELECT count(*) FROM vesu_guide.submissions") == 0


async def test_a_row_that_the_chain_has_is_merged(app: asyncpg.Connection) -> None:
    of_hash = "SELECT * FROM vesu_transactions WHERE transaction_hash = $1 ORDER BY type"
    before = {row["type"]: row for row in await app.fetch(of_hash, CHAIN_HASH)}
    await submit(app)
    after = {row["type"]: row for row in await app.fetch(of_hash, CHAIN_HASH)}
    assert after["supply"] == before["supply"]
    merged = after["borrow"]
    assert (merged["id"], merged["user_id"], merged["status"]) == (ROW, USER, "confirmed")
    same = ("asset", "amount", "block_number", "timestamp", "position_id", "user_address")
    assert [merged[name] for name in same] == [before["borrow"][name] for name in same]
    assert await shown(app) == merged
    taken = "SELECT count(*) FROM vesu_transactions WHERE id = $1"
    assert await app.fetchval(taken, before["borrow"]["id"]) == 0
    # The guide's own update of a confirmed transaction succeeds, and changes nothing.
    claim = "UPDATE vesu_transactions SET status = 'confirmed', block_number = 5, gas_used = 1"
    assert await app.execute(f"{claim} WHERE id = $1", ROW) == "UPDATE 1"
    assert await shown(app) == merged
    with pytest.raises(REFUSED, match="refused: the chain has it"):
        await app.execute("UPDATE vesu_transactions SET status = 'failed' WHERE id = $1", ROW)


async def test_a_row_is_not_inserted_twice(app: asyncpg.Connection) -> None:
    await submit(app)
    with pytest.raises(asyncpg.UniqueViolationError, match="is there already, so update that one"):
        await submit(app, row_id=USER)


@pytest.mark.parametrize(
    ("watch", "status", "amount", "message"),
    [
        ("status = 'failed', block_number = 7, revert_reason = 'no'", "failed", 12.5, "no"),
        ("status = 'confirmed', block_number = 7", "confirmed", 0, "succeeded without a borrow of"),
        ("status = 'dropped'", "failed", 12.5, "dropped: no node knows"),
    ],
)
async def test_what_came_of_it_is_shown(
    app: asyncpg.Connection, watch: str, status: str, amount: float, message: str
) -> None:
    await submit(app, "0xabcd")
    await app.execute(f"UPDATE public.watches SET {watch}, actual_fee = 15 * 10 ^ 17")
    row = await shown(app)
    assert (row["status"], row["amount"]) == (status, amount)
    assert message in row["error_message"]
    assert row["gas_used"] == 1.5


async def test_a_watch_that_was_dropped_begins_again(app: asyncpg.Connection) -> None:
    await app.execute("SELECT start_watch('0xabcd')")
    await app.execute("UPDATE watches SET status = 'dropped', settled_at = now(), ask_at = NULL")
    await app.execute("SELECT start_watch('0xABCD')")
    row = await app.fetchrow("SELECT status, settled_at, ask_at IS NULL AS at_rest FROM watches")
    assert tuple(row or ()) == ("pending", None, False)


async def test_open_watches_are_bounded(app: asyncpg.Connection) -> None:
    await app.execute(
        "INSERT INTO watches (transaction_hash) "
        "SELECT '0x' || lpad(to_hex(n), 64, '0') FROM generate_series(1, 10000) AS n"
    )
    await app.execute("SELECT start_watch('0x1')")
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match="which is the limit"):
        await app.execute("SELECT start_watch('0xabcd')")


# --- an application's role ------------------------------------------------------------------


async def test_the_search_path_is_all_that_an_application_needs(filled_url: str) -> None:
    role = f"app_{uuid.uuid4().hex}"
    await postgres.execute(
        filled_url,
        f"CREATE ROLE {role} LOGIN",
        f"ALTER ROLE {role} SET search_path = vesu_guide, public",
    )
    try:
        async with connected(filled_url, role) as app:
            await submit(app)
            assert (await shown(app))["status"] == "confirmed"
            await app.execute("INSERT INTO users VALUES ($1, '0x1')", USER)
            await app.execute("SET CONSTRAINTS ALL IMMEDIATE")
            mine = "SELECT count(*) FROM vesu_positions WHERE user_id = $1"
            assert await app.fetchval(mine, USER) > 0
            for table in ("vesu_pools", "vesu_positions", "vesu_liquidations"):
                with pytest.raises(REFUSED, match="its rows are what the chain says"):
                    async with app.transaction():
                        await app.execute(f"INSERT INTO {table} (id) VALUES ($1)", USER)
            with pytest.raises(REFUSED, match="permission denied"):
                await app.execute("SELECT * FROM submissions")
    finally:
        await postgres.execute(filled_url, f"DROP ROLE {role}")


async def test_temporary_tables_of_our_names_are_not_looked_at(filled_url: str) -> None:
    """A trigger on one would run with the rights of the functions' owner."""
    role = f"app_{uuid.uuid4().hex}"
    await postgres.execute(filled_url, f"CREATE ROLE {role} LOGIN")
    try:
        async with connected(filled_url, role) as app:
            await app.execute(
                "CREATE TEMPORARY TABLE watches (transaction_hash text PRIMARY KEY, status text);"
                "CREATE TEMPORARY TABLE ran_as (name text);"
                "GRANT ALL ON watches, ran_as TO PUBLIC;"
                "CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN INSERT INTO pg_temp.ran_as VALUES (current_user); RETURN NEW; END';"
                "CREATE TRIGGER note BEFORE INSERT ON watches "
                "FOR EACH ROW EXECUTE FUNCTION pg_temp.note();"
            )
            await submit(app, "0xabcd")
            assert await app.fetch("SELECT * FROM ran_as") == []
            assert await app.fetch("SELECT * FROM watches") == []
            await app.execute("RESET ROLE")
            held = "SELECT transaction_hash FROM public.watches"
            assert [row[0] for row in await app.fetch(held)] == [hash_of(0xABCD)]
    finally:
        await postgres.execute(filled_url, f"DROP ROLE {role}")


# --- speed ----------------------------------------------------------------------------------

QUESTIONS = """
vesu_positions WHERE id = md5('position77')::uuid;
vesu_positions WHERE user_id = md5('0x' || lpad('1f', 64, '0'))::uuid ORDER BY created_at
    DESC;
vesu_positions WHERE user_id = md5('0x' || lpad('1f', 64, '0'))::uuid AND status = 'active';
vesu_positions WHERE status = 'liquidated';
vesu_positions WHERE status = 'active' AND health_factor < 1.0 ORDER BY health_factor;
vesu_transactions WHERE id = md5('transaction77')::uuid;
vesu_transactions WHERE transaction_hash = '0x' || lpad(to_hex(1000077), 64, '0');
vesu_transactions WHERE status = 'pending' ORDER BY created_at;
vesu_transactions WHERE status = 'failed';
vesu_transactions WHERE user_id = md5('0x' || lpad('1f', 64, '0'))::uuid AND type = 'supply'
    ORDER BY created_at DESC LIMIT 50;
vesu_transactions WHERE position_id = md5('position77')::uuid ORDER BY created_at DESC;
vesu_transactions WHERE user_id = md5('0x' || lpad('1f', 64, '0'))::uuid AND status =
    'confirmed' AND timestamp >= to_timestamp(1700000100) AND timestamp <=
    to_timestamp(1800000000);
vesu_liquidations WHERE liquidator_address = '0x' || lpad('1', 64, '0') ORDER BY timestamp
    DESC LIMIT 50;
vesu_liquidations WHERE position_id = md5('position700')::uuid;
vesu_liquidations l LEFT JOIN vesu_positions p ON p.id = l.position_id ORDER BY l.timestamp
    DESC LIMIT 100;
vesu_transactions t LEFT JOIN vesu_positions p ON p.id = t.position_id WHERE
    t.transaction_hash = '0x' || lpad(to_hex(1000077), 64, '0')
"""
"""What the guide's models ask, and the joins of its associations, from the child's side."""


@pytest.mark.parametrize("question", QUESTIONS.split(";"))
async def test_the_guides_questions_use_indexes(app: asyncpg.Connection, question: str) -> None:
    """No plan reads one of the four tables whole, with submissions there and without."""
    for has_submission in (False, True):
        if has_submission:
            await submit(app)
        plan = [row[0] for row in await app.fetch(f"EXPLAIN SELECT * FROM {question}")]
        read_whole = [line for line in plan if "Seq Scan on vesu_" in line]
        assert read_whole == [], "\n".join(plan)


async def test_a_question_without_users_leaves_them_out(app: asyncpg.Connection) -> None:
    plan = await app.fetch("EXPLAIN SELECT count(*) FROM vesu_positions")
    assert not any("wallets" in row[0] for row in plan)
