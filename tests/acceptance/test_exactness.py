"""Every number equals the contract's own answer, at every recorded block of devnet-a.

Each test prints how many comparisons it made, and fails on the first difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import asyncpg

from indexer.projections import assets as asset_rows
from indexer.projections import pools as pool_rows
from indexer.projections import positions as position_rows
from indexer.projections import rows
from indexer.recording import playhead, server
from indexer.store import database
from indexer.vesu import accrual, state, valuation
from tests import postgres
from tests.acceptance import past, stage, truth


class History:
    """Versions by key, looked up at a block: the histories as a reader would use them."""

    def __init__(self, parsed: list[tuple[int, tuple[object, object]]]) -> None:
        self._versions: dict[object, list[tuple[int, object]]] = defaultdict(list)
        for block, (key, value) in parsed:
            self._versions[key].append((block, value))

    def at(self, key: object, block: int) -> object | None:
        found = None
        for number, value in self._versions.get(key, ()):
            if number > block:
                break
            found = value
        return found

    def __iter__(self) -> Iterator[object]:
        return iter(self._versions)


async def history(connection: asyncpg.Connection, table: str, parse: object) -> History:
    found = await connection.fetch(
        f"SELECT * FROM {table} ORDER BY block_number, transaction_index, event_index"
    )
    return History([(row["block_number"], parse(row)) for row in found])  # type: ignore[operator]


async def test_positions_and_amounts(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """Shares, nominal debt, collateral (down) and debt (up) of every position at every block."""
    compared = await past.compare_positions(await past.Past.of(indexed, recorded))
    print(f"compared {compared} values of position()")
    assert compared > 16_000


async def test_asset_configurations(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """The accrued asset state, all 12 fields."""
    compared = await compare_assets(indexed, recorded)
    print(f"compared {compared} values of asset_config()")
    assert compared > 16_000


async def compare_assets(indexed: asyncpg.Connection, recorded: truth.Recorded) -> int:
    assets = await history(indexed, "vesu_asset_history", asset_rows.parse)
    compared = 0
    for block, pool, (asset,), result in recorded.answered("asset_config"):
        found = assets.at(state.AssetKey(state.v2_pool(pool), asset), block)
        assert isinstance(found, accrual.AssetState), f"{pool:#x} {asset:#x} at {block}"
        ours = accrual.accrue(found, recorded.timestamps[block])
        theirs = _asset_config(result)
        for field, value in theirs.items():
            assert getattr(ours, field) == value, f"{field} of {asset:#x} at block {block}"
            compared += 1
    return compared


def _asset_config(felts: list[int]) -> dict[str, int]:
    wide = truth.u256s(felts[:12]) + truth.u256s(felts[14:22])
    return {
        "total_collateral_shares": wide[0],
        "total_nominal_debt": wide[1],
        "reserve": wide[2],
        "max_utilization": wide[3],
        "floor": wide[4],
        "scale": wide[5],
        "is_legacy": bool(felts[12]),
        "last_updated": felts[13],
        "last_rate_accumulator": wide[6],
        "last_full_utilization_rate": wide[7],
        "fee_rate": wide[8],
        "fee_shares": wide[9],
    }


async def test_rates_and_utilisation(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """rate_accumulator(), utilization() and interest_rate() at every block."""
    assets = await history(indexed, "vesu_asset_history", asset_rows.parse)
    compared = 0
    for view in ("rate_accumulator", "utilization", "interest_rate"):
        for block, pool, calldata, result in recorded.answered(view):
            found = assets.at(state.AssetKey(state.v2_pool(pool), calldata[0]), block)
            assert isinstance(found, accrual.AssetState)
            now = accrual.accrue(found, recorded.timestamps[block])
            ours = {
                "rate_accumulator": lambda now=now: now.last_rate_accumulator,
                "utilization": lambda now=now: now.utilization,
                "interest_rate": lambda now=now: accrual.current_rate(now, now.last_updated)[0],
            }[view]()
            assert ours == truth.u256s(result)[0], f"{view} of {calldata[0]:#x} at block {block}"
            compared += 1
    print(f"compared {compared} values of rate views")
    assert compared > 4_000


async def test_rate_models(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """interest_rate_config() at every block."""
    assets = await history(indexed, "vesu_asset_history", asset_rows.parse)
    compared = 0
    for block, pool, (asset,), result in recorded.answered("interest_rate_config"):
        found = assets.at(state.AssetKey(state.v2_pool(pool), asset), block)
        assert isinstance(found, accrual.AssetState)
        model = found.model
        ours = [getattr(model, field) for field in model.__struct_fields__]
        assert ours == truth.u256s(result), f"rate model of {asset:#x} at block {block}"
        compared += 8
    print(f"compared {compared} values of interest_rate_config()")
    assert compared > 10_000


async def test_pairs(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """pair_config() and pairs() at every block."""
    pairs = await history(indexed, "vesu_pool_history", pool_rows.parse)
    compared = 0
    for view in ("pair_config", "pairs"):
        for block, pool, (collateral, debt), result in recorded.answered(view):
            found = (
                pairs.at(state.PairKey(state.v2_pool(pool), collateral, debt), block)
                or state.PairState()
            )
            assert isinstance(found, state.PairState)
            if view == "pair_config":
                ours = [found.max_ltv, found.liquidation_factor, found.debt_cap]
                assert ours == result, f"pair_config at block {block}"
            else:
                ours = [found.total_collateral_shares, found.total_nominal_debt]
                assert ours == truth.u256s(result), f"pairs at block {block}"
            compared += len(ours)
    print(f"compared {compared} values of pair_config() and pairs()")
    assert compared > 10_000


async def test_v_token_balances(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """balance_of(), total_supply() and convert_to_assets() of every vToken at every block."""
    compared = await compare_v_tokens(indexed, recorded)
    print(f"compared {compared} values of vTokens")
    assert compared > 7_000


async def compare_v_tokens(indexed: asyncpg.Connection, recorded: truth.Recorded) -> int:
    held = await history(indexed, "vesu_position_history", position_rows.parse)
    assets = await history(indexed, "vesu_asset_history", asset_rows.parse)
    v_tokens = recorded.v_tokens
    balances: dict[tuple[int, int, int], int] = {}
    compared = 0
    for block, contract, calldata, result in recorded.answered("balance_of"):
        if contract not in v_tokens:
            continue
        found = held.at(_earn_key(v_tokens, contract, calldata[0]), block)
        ours = found.vtoken_balance if isinstance(found, state.PositionState) else 0
        assert ours == truth.u256s(result)[0], f"balance of {calldata[0]:#x} at block {block}"
        balances[block, contract, calldata[0]] = ours
        compared += 1
    compared += _compare_supplies(held, recorded)
    compared += _compare_conversions(held, assets, recorded)
    return compared


def _earn_key(
    v_tokens: dict[int, dict[str, object]], contract: int, holder: int
) -> state.PositionKey:
    entry = v_tokens[contract]
    pool, asset = int(str(entry["pool"]), 16), int(str(entry["asset"]), 16)
    return state.PositionKey(state.v2_pool(pool), asset, 0, contract, holder)


def _compare_supplies(held: History, recorded: truth.Recorded) -> int:
    compared = 0
    keys = [key for key in held if isinstance(key, state.PositionKey)]
    for block, contract, _, result in recorded.answered("total_supply"):
        if contract not in recorded.v_tokens:
            continue
        versions = [held.at(key, block) for key in keys if key.v_token == contract]
        ours = sum(one.vtoken_balance for one in versions if isinstance(one, state.PositionState))
        assert ours == truth.u256s(result)[0], f"supply of {contract:#x} at block {block}"
        compared += 1
    return compared


def _compare_conversions(held: History, assets: History, recorded: truth.Recorded) -> int:
    """convert_to_assets is asked with each holder's balance."""
    compared = 0
    for block, contract, calldata, result in recorded.answered("convert_to_assets"):
        entry = recorded.v_tokens[contract]
        key = state.AssetKey(state.v2_pool(int(entry["pool"], 16)), int(entry["asset"], 16))
        found = assets.at(key, block)
        assert isinstance(found, accrual.AssetState)
        holding = state.PositionState("earn", vtoken_balance=truth.u256s(calldata)[0])
        now = accrual.accrue(found, recorded.timestamps[block])
        worth = valuation.value(holding, now, None, 0)
        assert worth.collateral == truth.u256s(result)[0], f"{contract:#x} at block {block}"
        compared += 1
    return compared


async def test_collateralisation(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """health_factor < 1 exactly where check_collateralization() says no, at the block's price."""
    compared, refused = await past.compare_health(await past.Past.of(indexed, recorded))
    print(f"compared {compared} answers of check_collateralization(), {refused} of them no")
    assert compared > 3_000
    assert refused


async def test_pool_settings(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """Owner, curator, oracle, fee recipient, pausing agent, pause and name at every block."""
    from indexer.projections import contracts

    settings = await history(indexed, "contract_history", contracts.parse)
    pools = {int(pool["address"], 16) for pool in recorded.manifest["pools"].values()}
    compared = 0
    for view in ("owner", "curator", "oracle", "fee_recipient", "pausing_agent", "is_paused"):
        for block, contract, _, result in recorded.answered(view):
            if contract not in pools:
                continue
            found = settings.at(contract, block)
            assert isinstance(found, state.ContractState)
            assert int(getattr(found, view) or 0) == result[0], f"{view} at block {block}"
            compared += 1
    print(f"compared {compared} settings of pools")
    assert compared > 1_500


async def test_operations_match_both_ways(
    indexed: asyncpg.Connection, recorded: truth.Recorded
) -> None:
    """Each thing that somebody did is one row, each row is a thing that somebody did."""
    expected = sorted(effect for op in recorded.operations for effect in _effects(op))
    found = await indexed.fetch(
        "SELECT transaction_hash, type, user_id, asset_address, amount_raw FROM vesu_transactions"
    )
    ours = sorted(
        (
            row["transaction_hash"],
            row["type"],
            row["user_id"],
            row["asset_address"],
            int(row["amount_raw"]),
        )
        for row in found
    )
    print(f"compared {len(expected)} effects of {len(recorded.operations)} operations")
    assert ours == expected
    reverted = {rows.padded(int(op["tx_hash"], 16)) for op in recorded.operations if op["reverted"]}
    assert reverted
    assert not reverted & {row["transaction_hash"] for row in found}


def _effects(op: dict[str, object]) -> list[tuple[str, str, str, str, int]]:
    """What an operation should have left in vesu_transactions."""
    if op["reverted"]:
        return []

    def padded(name: str) -> str:
        return rows.padded(int(str(op[name]), 16))

    hash_, kind = padded("tx_hash"), str(op["op"])
    amount = int(str(op["assets"])) if op.get("assets") is not None else 0
    if kind in ("supply", "withdraw") and amount:
        sign = 1 if kind == "supply" else -1
        return [(hash_, kind, padded("user"), padded("collateral_asset"), sign * amount)]
    if kind in ("borrow", "repay") and amount:
        sign = 1 if kind == "borrow" else -1
        return [(hash_, kind, padded("user"), padded("debt_asset"), sign * amount)]
    if kind == "liquidation":
        seized, removed = int(str(op["collateral_assets"])), int(str(op["debt_removed"]))
        return [
            (hash_, kind, padded("user"), padded("collateral_asset"), -seized),
            (hash_, kind, padded("user"), padded("debt_asset"), -removed),
        ]
    if kind == "transfer":
        shares = int(str(op["shares"]))
        return [
            (hash_, kind, padded("user"), padded("v_token"), -shares),
            (hash_, kind, padded("to"), padded("v_token"), shares),
        ]
    return []


async def test_liquidations_match(indexed: asyncpg.Connection, recorded: truth.Recorded) -> None:
    """Each liquidation, with what was paid, seized and written off."""
    expected = sorted(
        (
            rows.padded(int(op["tx_hash"], 16)),
            rows.padded(int(op["user"], 16)),
            rows.padded(int(op["liquidator"], 16)),
            op["collateral_assets"],
            op["assets"],
            op["bad_debt"],
        )
        for op in recorded.operations
        if op["op"] == "liquidation" and not op["reverted"]
    )
    found = await indexed.fetch("SELECT * FROM vesu_liquidations")
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
    print(f"compared {len(expected)} liquidations")
    assert expected
    assert ours == expected
    assert any(row["bad_debt_raw"] for row in found)


async def test_the_abandoned_branch_while_it_was_the_chain(recorded: truth.Recorded) -> None:
    """The same on the branch of the reorganisation, before it was abandoned."""
    loaded = recorded.chain
    fork = loaded.forks[0]
    head = playhead.Playhead.at_block(loaded, 84, story=True)
    head.go_to(fork.last, branch=1)
    async with postgres.fresh_database(migrated=True) as url:
        async with server.RecordingServer(loaded, head) as node:
            environ = stage.environment(recorded, node.url, url)
            await stage.command(environ, "run", "--until-block", str(fork.last), "--no-serve")
        branch = truth.Recorded(fork.folder)
        connection = await database.connect(url)
        try:
            compared = (
                await past.compare_positions(await past.Past.of(connection, branch))
                + await compare_assets(connection, branch)
                + await compare_v_tokens(connection, branch)
            )
        finally:
            await connection.close()
    print(f"compared {compared} values of the abandoned branch")
    assert compared > 2_000
