"""The descriptions of the tables: another state is another fold, and what is derived agrees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from indexer.projections import (
    assets,
    contracts,
    pools,
    positions,
    statements,
    tables,
    tokens,
    transactions,
    valuations,
)
from indexer.store import copying
from indexer.vesu import accrual, kinds, state

STATE_OF_FOLD = {
    2: "c4a61a887f486cc5",
    3: "c4f2e25aacc6434d",
    4: "1623aec055604ef7",
    5: "4477ba9c8ea7c155",
    6: "af14ae27de4dc7e0",
}
"""A hash of the state columns of all tables, by the fold version that first had them."""

POOL = state.PoolKey(1, 2)


def test_other_state_columns_are_another_fold_version() -> None:
    """Tables made by a fold without the column would pass for tables of this one."""
    described_tables = (*tables.PROJECTIONS, tables.EVENT_PRICES)
    described = "\n".join(f"{table.name} {table.state}" for table in described_tables)
    found = hashlib.sha256(described.encode()).hexdigest()[:16]
    assert STATE_OF_FOLD.get(tables.FOLD_VERSION) == found, (
        f"the state columns in projections/tables.py changed: raise tables.FOLD_VERSION (now "
        f"{tables.FOLD_VERSION}) and note {found!r} for it in STATE_OF_FOLD"
    )


def test_rows_have_the_columns_of_their_descriptions() -> None:
    """A column that a projection does not fill would be written as NULL."""
    contract = state.ContractState(kinds.Kind.POOL_V2)
    world = state.World(pairs={state.PairKey(POOL, 3, 4): state.PairState()})
    key = state.PositionKey(POOL, 3, 4, 0, 5)
    asset = state.AssetKey(POOL, 3)
    valuer = valuations.Valuer(world, valuations.Block(1, 2))
    made = {
        tables.CONTRACTS: contracts.current(1, contract),
        tables.POOLS: pools.current(
            "v2", state.PairKey(POOL, 3, 4), world, {}, is_listed=True, unknown_class=None
        ),
        tables.ASSETS: assets.current(
            "v2", asset, accrual.AssetState(), tokens.Token(), is_listed=True
        ),
        tables.POSITIONS: positions.by_column(
            positions.values(
                "v2", key, state.PositionState(kind="borrow"), world, {}, valuer, is_listed=True
            )
        ),
    }
    for table, row in made.items():
        assert set(row) == set(table.columns), f"{table.name}: {set(row) ^ set(table.columns)}"
    at = state.EventKey(1, 2, 3)
    pair_key, position = state.PairKey(POOL, 3, 4), state.PositionState(kind="borrow")
    versions: dict[tables.Table, tuple[Sequence[str], Sequence[Any]]] = {
        tables.POOLS: (pools.VERSION, pools.version("v2", at, pair_key, state.PairState(), world)),
        tables.ASSETS: (assets.VERSION, assets.version("", "", at, accrual.AssetState())),
        tables.POSITIONS: (positions.VERSION, positions.version("v2", at, key, position)),
        tables.CONTRACTS: ([*(row := contracts.history(at, 1, contract))], [*row.values()]),
    }
    for table, (columns, values) in versions.items():
        stored = set(table.past.stored_columns)
        assert set(columns) == stored, f"{table.past.stored_name}: {set(columns) ^ stored}"
        assert len(values) == len(columns), table.past.stored_name


def test_transactions_have_the_columns_of_their_description() -> None:
    """All but the error, which a confirmed one does not have."""
    left_out = set(tables.TRANSACTIONS.columns) - set(transactions.TRANSACTION)
    assert left_out == {"error_message"}
    key = state.PositionKey(POOL, 3, 4, 0, 5)
    effect = state.TransactionEffect(state.EventKey(1, 2, 3), 0, key, "supply", 3, 7)
    origin = transactions.Origin("0x1", 1, None)
    row = transactions.transaction("v2", effect, origin, transactions.Named("A\tB", 1))
    assert len(row) == len(transactions.TRANSACTION)
    texts = copying.plain_line(row)[:-1].split("\t")
    fields = dict(zip(transactions.TRANSACTION, texts, strict=True))
    assert fields["asset"] == r"A\tB"
    assert fields["gas_used"] == fields["fee_unit"] == r"\N"
    assert (fields["amount"], fields["amount_raw"]) == ("0.7", "7")


def test_valuations_and_keys_are_not_compared() -> None:
    compared = statements.compared(tables.POSITIONS)
    assert "collateral_shares" in compared
    assert not {"id", "health_factor", "valued_at_block"} & set(compared)


def test_a_statement_is_filled_in_once() -> None:
    text = "SELECT {l_key}, {aliased} FROM {live}.{name} l, unnest({key_arrays})"
    filled = statements.fill(text, tables.CONTRACTS, '"a"')
    assert filled.startswith("SELECT l.address, l.kind, t.address AS address,")
    assert 't.last_event_block AS block_number FROM "a".contracts l' in filled
    assert filled.endswith("unnest($1::text[], $2::text[])")
    assert statements.fill(text, tables.CONTRACTS, '"a"') is filled


def test_another_valuation_column_is_read_after_the_others() -> None:
    known = tables.POSITIONS
    wider = msgspec.structs.replace(
        known, valuation=(*known.valuation, "worth_eur"), numbers=(*known.numbers, "worth_eur")
    )
    before = statements.fill("SELECT {read_as_text}", known)
    assert statements.fill("SELECT {read_as_text}", wider) == (
        before + ", t.worth_eur::text AS worth_eur"
    )
    assert "t.last_updated AS changed_at, t.last_event_block AS block_number, " in before
    assert before.endswith(", t.price_timestamp AS price_timestamp, t.sampling AS sampling")
