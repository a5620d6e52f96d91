"""The packed log: what the view shows is what the chain said and what decoding makes of it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from indexer.cairo import abi, packed, text, types
from indexer.store import migrate
from indexer.vesu import decoders
from tests import postgres, schema_data
from tests.unit import arguments, foreign, payloads, recorded
from tests.unit.test_vesu_decoders import V1_ABIS, V2_ABIS, by_starknet_py
from tests.unit.test_vesu_generated import CASES, Case

SEED = 20_261_129
RELEASED = "0034_fillfactor"
EVENTS = "SELECT * FROM events ORDER BY block_number, transaction_index, event_index"
WATCHED = "SELECT * FROM watch_list ORDER BY address, kind"
EDGES = (0, 1, 127, 128, 255, 256, 2**120 - 1, 2**248, foreign.PRIME - 1)


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_database_url)
    yield connection
    await connection.close()


def raw(felts: Iterable[int]) -> bytes:
    return packed.pack(felts)


async def shown(connection: asyncpg.Connection, steps: types.Steps, keys: Iterable[int]) -> Any:
    """The arguments that the database makes, one selector before them."""
    answer = await connection.fetchval(
        "SELECT event_args($1, $2, 1, $3)", raw([5, *keys]), b"", list(steps)
    )
    return None if answer is None else json.loads(answer)


# --- felts --------------------------------------------------------------------------------------


async def test_packed_felts_come_back_as_the_chain_gave_them(
    connection: asyncpg.Connection,
) -> None:
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    sizes = [dice.getrandbits(dice.randrange(252)) for _ in range(500)]
    for felts in ([], list(EDGES), sizes):
        texts = [hex(felt) for felt in felts]
        assert packed.unpack(raw(felts)) == felts
        assert await connection.fetchval("SELECT event_felts($1)", raw(felts)) == texts
        assert await connection.fetchval("SELECT pack_felts($1)", texts) == raw(felts)
    assert raw([0, 1, 0xFF, 0x100]) == b"\0\1\1\1\xff\2\1\0"


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", [recorded.DEVNET_A, *recorded.V1_RECORDINGS], ids=lambda folder: folder.name
)
async def test_every_recorded_event_shows_what_starknet_py_says(
    connection: asyncpg.Connection, folder: Path
) -> None:
    names = {kind: (name,) for kind, name in V2_ABIS.items()} | V1_ABIS
    compared = 0
    for event in recorded.events(folder):
        decoded = decoders.decode(event.kind, event.keys, event.data)
        assert decoded is not None
        answer = await connection.fetchval(
            "SELECT event_args($1, $2, $3, $4)",
            raw(event.keys),
            raw(event.data),
            decoded.layout.selectors,
            list(decoded.layout.steps),
        )
        assert json.loads(answer) == by_starknet_py(names[event.kind], event)
        compared += 1
    print(f"{folder.name}: {compared} events")
    assert compared > 300


async def test_invented_payloads_show_what_starknet_py_says(connection: asyncpg.Connection) -> None:
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    for case in CASES:
        if payloads.has_text(case[1].keys):
            continue
        for _ in range(4):
            await _compare(connection, case, dice)


async def _compare(connection: asyncpg.Connection, case: Case, dice: random.Random) -> None:
    kind, layout = case
    keys, data = (
        [
            dice.choice([0, 1, limit - 1, dice.randrange(limit)])
            for limit in payloads.all_limits(types_)
        ]
        for types_ in (layout.keys, layout.data)
    )
    felts = [*layout.path, *keys], data
    decoded = decoders.decode(kind, *felts)
    assert decoded is not None
    answer = await connection.fetchval(
        "SELECT event_args($1, $2, $3, $4)",
        *map(raw, felts),
        decoded.layout.selectors,
        list(decoded.layout.steps),
    )
    assert json.loads(answer) == layout.decode(keys, data), (kind, layout.name, felts)


LETTERS = (
    *(b"\0", b'"', b"\\", b"\n", b"\x7f", b"a", "é".encode(), "€".encode(), "🦀".encode()),
    *(b"\x80", b"\xbf", b"\xc0", b"\xc1", b"\xc3", b"\xe0", b"\xe0\x9f", b"\xe0\xa0", b"\xed\xa0"),
    *(b"\xef\xbf", b"\xf0\x8f", b"\xf0\x90", b"\xf0\x90\x80", b"\xf4\x8f", b"\xf4\x90", b"\xf5"),
    b"\xff",
)
"""Whole characters, and what begins one or is none."""


async def test_text_shows_what_python_makes_of_its_bytes(connection: asyncpg.Connection) -> None:
    """Also of bytes that are no UTF-8, and of NUL, which PostgreSQL cannot hold."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    steps = types.steps_of([("n", types.type_of("core::byte_array::ByteArray", {}))])
    for length in (*range(8), 30, 31, 32, 61, 62, 63, *[dice.randrange(90) for _ in range(600)]):
        word = b"".join(dice.choices(LETTERS, k=length))[:length]
        full, rest = divmod(len(word), text.WORD_BYTES)
        felts = [
            full,
            *(int.from_bytes(word[31 * at : 31 * at + 31]) for at in range(full)),
            int.from_bytes(word[31 * full :]),
            rest,
        ]
        expected = text.byte_array(felts).replace("\0", "\ufffd")
        assert await shown(connection, steps, felts) == {"n": expected}, word


async def test_lists_in_lists_show_their_items(connection: asyncpg.Connection) -> None:
    pair = {
        "type": "struct",
        "name": "m::Pair",
        "members": [
            {"name": "a", "type": "core::array::Span::<core::integer::u8>"},
            {"name": "b", "type": "core::bool"},
        ],
    }
    type_ = types.type_of("core::array::Array::<m::Pair>", {"m::Pair": pair})
    steps = types.steps_of([("l", type_), ("end", types.type_of("core::integer::u8", {}))])
    for felts in ([0, 9], [1, 0, 1, 9], [3, 2, 7, 8, 0, 0, 1, 1, 5, 0, 9]):
        expected = json.loads(arguments.follow(steps, felts))
        assert expected["end"] == "9"
        assert await shown(connection, steps, felts) == expected
        for wrong in (felts[:-1], [*felts, 0]):
            assert await shown(connection, steps, wrong) is None


async def test_names_are_quoted(connection: asyncpg.Connection) -> None:
    name = 'a "quoted\\" näme'
    steps = types.steps_of([(name, types.type_of("core::felt252", {}))])
    assert await shown(connection, steps, [1]) == {name: "0x" + "1".zfill(64)}


# --- what earlier releases wrote ------------------------------------------------------------------


@pytest.fixture
async def released_url(empty_database_url: str) -> str:
    """A database of the last release; two events of it are not as its own ABIs decode them."""
    held = schema_data.read(schema_data.FOLDER / f"{RELEASED}.json.gz")
    schema_data.migrate_to(empty_database_url, RELEASED)
    await schema_data.load(empty_database_url, held)
    first = "(SELECT min(block_number) FROM events WHERE name = 'UpdateContext')"
    await postgres.execute(
        empty_database_url,
        "UPDATE events SET name = NULL, args = NULL WHERE name = 'UpdateContext' "
        f"AND block_number = {first}",
        """UPDATE events SET name = 'Later', args = '{"from a later ABI": ["1", true]}' """
        "WHERE name = 'Transfer' AND block_number > 50",
    )
    return empty_database_url


def back_to(url: str, revision: str) -> None:
    with migrate._connected(url) as connection, migrate._alone(connection, url) as backend:
        for one in backend.to_rollback(migrate._read()):
            if one.id > revision:
                migrate._move(backend, one, "rollback")


async def test_the_log_of_the_last_release_is_packed_and_unpacked(released_url: str) -> None:
    url = released_url
    role = f"reader_of_{await postgres.value(url, 'SELECT current_database()')}"
    await postgres.execute(url, f"CREATE ROLE {role}", f"GRANT SELECT ON events TO {role}")
    before, watched = await rows(url, EVENTS), await rows(url, WATCHED)
    undecoded = sum(row[9] is None for row in before)
    later = sum(row[9] == "Later" for row in before)
    assert undecoded > 0
    assert later > 0
    assert len(before) > 300
    may_read = f"SELECT has_table_privilege('{role}', 'events', 'SELECT')"
    migrate.apply(url)
    assert await rows(url, EVENTS) == before
    assert await rows(url, WATCHED) == watched
    assert await postgres.value(url, may_read)
    reader = await asyncpg.connect(url)
    await reader.execute(f"SET ROLE {role}")
    assert [tuple(row) for row in await reader.fetch(EVENTS)] == before
    await reader.close()
    missing = "SELECT count(*) FROM event_log WHERE decoded_as IS NULL"
    assert await postgres.value(url, missing) == undecoded
    kept = await postgres.fetch(url, "SELECT name FROM event_layouts WHERE selectors = 0")
    assert [row["name"] for row in kept] == ["Later"]
    back_to(url, RELEASED)
    assert await rows(url, EVENTS) == before
    assert await rows(url, WATCHED) == watched
    assert await postgres.value(url, may_read)
    await postgres.execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await postgres.fetch(url, query)]


# --- the view -------------------------------------------------------------------------------------


async def test_the_view_is_written_as_the_table_was(released_url: str) -> None:
    """What is inserted, changed or deleted by hand is there, changed or gone, and nothing else."""
    url = released_url
    migrate.apply(url)
    before = await rows(url, EVENTS)
    layouts = await postgres.value(url, "SELECT count(*) FROM event_layouts")
    await postgres.execute(
        url,
        "CREATE TABLE kept AS SELECT * FROM events",
        "DELETE FROM events",
        "INSERT INTO events SELECT * FROM kept",
    )
    assert await rows(url, EVENTS) == before
    # A daemon of an earlier version that still runs beside this schema copies its rows.
    connection, copied = await asyncpg.connect(url), io.BytesIO()
    await connection.copy_from_table("kept", output=copied)
    await connection.execute("DELETE FROM events")
    copied.seek(0)
    await connection.copy_to_table("events", source=copied)
    await connection.close()
    assert await rows(url, EVENTS) == before
    assert await postgres.value(url, "SELECT count(*) FROM event_layouts") == layouts
    for change, index, value in (
        ("keys = ARRAY['0x7', '0x0']", 6, ["0x7", "0x0"]),
        ("data = data || '0x1'::text", 7, None),
        ("contract = 'other'", 8, "other"),
        ("name = 'Other'", 9, "Other"),
        ("""args = '{"a": "é"}'""", 10, '{"a": "é"}'),
    ):
        last = before[-1]
        await postgres.execute(
            url,
            f"UPDATE events SET {change} WHERE (block_number, transaction_index, event_index) = "
            f"({last[0]}, {last[1]}, {last[2]})",
        )
        expected = [*last[:index], value or [*last[7], "0x1"], *last[index + 1 :]]
        assert await rows(url, EVENTS) == [*before[:-1], tuple(expected)]
        before = await rows(url, EVENTS)
    with pytest.raises(asyncpg.RaiseError, match="must have the hash that blocks holds"):
        await postgres.execute(url, "UPDATE events SET block_hash = '0x1'")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(inner for part in plan.get("Plans", []) for inner in nodes(part))]


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("SELECT * FROM events WHERE transaction_hash = '0x1'", {"idx_events_transaction_hash"}),
        ("SELECT keys FROM events WHERE block_number BETWEEN 3 AND 4", {"event_log_pkey"}),
        ("SELECT emitter FROM event_log WHERE decoded_as IS NULL", {"idx_events_undecoded"}),
        (
            "SELECT * FROM event_log WHERE decoded_as = 1 ORDER BY block_number DESC LIMIT 5",
            {"idx_events_layout"},
        ),
        (
            "SELECT * FROM event_log WHERE emitter = 1 ORDER BY block_number DESC LIMIT 5",
            {"idx_events_emitter"},
        ),
    ],
)
async def test_the_view_reads_by_the_indexes_of_the_log(
    connection: asyncpg.Connection, query: str, indexes: Sequence[str]
) -> None:
    await connection.execute("SET enable_seqscan = off")
    (plan,) = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}"))
    used = {node.get("Index Name") for node in nodes(plan["Plan"])}
    assert used >= set(indexes)


async def test_counting_events_joins_nothing(connection: asyncpg.Connection) -> None:
    (plan,) = json.loads(
        await connection.fetchval("EXPLAIN (FORMAT JSON) SELECT count(*) FROM events")
    )
    relations = {node.get("Relation Name") for node in nodes(plan["Plan"])} - {None}
    assert relations == {"event_log"}


def test_every_layout_that_a_release_ships_follows_its_felts() -> None:
    """Steps and reading agree on how many felts an event has."""
    felts = {"felt": 1, "bool": 1, "number": 1, "u256": 2, "i257": 3}
    counted = 0
    for kind in decoders.ABIS:
        for layouts in decoders.table(kind).values():
            for (keys, data), layout in layouts.items():
                assert isinstance(layout, abi.Layout)
                if keys is not None and data is not None:
                    assert sum(felts[step] for step in layout.steps[1::2]) == keys + data
                    counted += 1
    assert counted > 100
