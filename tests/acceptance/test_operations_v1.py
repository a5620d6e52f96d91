"""Vesu V1: each thing that somebody did is one row, each row is a thing that somebody did."""

from __future__ import annotations

import pytest

from indexer.projections import rows
from tests.acceptance import effects_v1, tables_v1


@pytest.fixture(scope="session")
def expected(indexed_v1: tables_v1.Indexed) -> effects_v1.Expected:
    return effects_v1.Expected(indexed_v1.recorded)


async def test_operations_match_both_ways(
    indexed_v1: tables_v1.Indexed, expected: effects_v1.Expected
) -> None:
    found = await indexed_v1.fetch(
        "SELECT t.*, p.pool_address FROM vesu_transactions t "
        "JOIN vesu_positions p ON p.pool_id = t.pool_id AND p.id = t.position_id",
    )
    ours = [
        effects_v1.Effect(
            row["pool_address"],
            row["transaction_hash"],
            row["type"],
            row["user_id"],
            row["asset_address"],
            1 if row["amount_raw"] > 0 else -1,
            int(row["amount_raw"]),
        )
        for row in found
    ]
    missing, extra = expected.missing_and_extra(ours)
    operations = indexed_v1.recorded.operations
    print(f"compared {expected.effects.total()} effects of {len(operations)} operations")
    assert not missing, f"{missing.total()} effects without a row: {list(missing)[:5]}"
    assert not extra, f"{extra.total()} rows that nothing explains: {list(extra)[:5]}"
    assert len(found) == len(await indexed_v1.fetch("SELECT id FROM vesu_transactions"))
    reverted = {rows.padded(int(op["tx_hash"], 16)) for op in operations if op["reverted"]}
    assert reverted
    assert not reverted & {row["transaction_hash"] for row in found}


async def test_liquidations_match(
    indexed_v1: tables_v1.Indexed, expected: effects_v1.Expected
) -> None:
    """Each liquidation, with what was paid, seized and written off; also those paid in shares."""
    found = await indexed_v1.fetch("SELECT * FROM vesu_liquidations")
    ours = sorted(
        (
            row["transaction_hash"],
            row["user_id"],
            row["liquidator_address"],
            int(row["collateral_seized_raw"]),
            int(row["debt_repaid_raw"]),
            int(row["bad_debt_raw"]),
        )
        for row in found
    )
    print(f"compared {len(expected.liquidations)} liquidations")
    assert expected.liquidations
    assert ours == sorted(expected.liquidations)
    assert any(row["bad_debt_raw"] for row in found)
