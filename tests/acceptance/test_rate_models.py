"""Vesu V1's rate models change without an event: rows say from when theirs is sure, and until when.

What a model is at a block the extension's recorded answers say; who may know it by then, the
recorded events.
"""

from __future__ import annotations

import asyncio
import collections

from indexer.recording import chain, playhead, server
from indexer.vesu import accrual
from tests import postgres
from tests.acceptance import stage, tables_v1, test_prices, test_reconcile_v1, truth, truth_v1

GENESIS = "devnet-v10-genesis"

Models = dict[tables_v1.AssetAt, dict[int, truth_v1.InterestRateConfig]]


def recorded_models(recorded: truth_v1.RecordedV1) -> Models:
    """What the extensions answered, by asset and block."""
    found: Models = collections.defaultdict(dict)
    for one in recorded.answered("interest_rate_config"):
        place = tables_v1.AssetAt(
            recorded.singleton_of(one.contract), one.arguments["pool_id"], one.arguments["asset"]
        )
        found[place][one.block] = one.value
    return found


def contexts_of(recorded: truth_v1.RecordedV1, place: tables_v1.AssetAt) -> set[int]:
    """The blocks in which a context of an asset was told."""
    return {block for (*key, block) in recorded.told_prices if tuple(key) == tuple(place)}


def test_rows_name_the_blocks_for_which_their_model_is_sure(indexed_v1: tables_v1.Indexed) -> None:
    """No version of a row claims a block in which the extension answered another model."""
    compared = 0
    for place, models in recorded_models(indexed_v1.recorded).items():
        for version in indexed_v1.tables.assets.versions(place):
            since, until = version.rate_model_block, version.rates_confirmed_block
            if version.model == accrual.NO_MODEL:  # between the asset's addition and its model
                assert since is until is None
                continue
            assert since is not None
            assert until is not None
            assert since <= until <= version.block_number
            for block, model in models.items():
                if since <= block < until or block == since:
                    compared += 1
                    for name in model.__struct_fields__:
                        assert getattr(version.model, name) == getattr(model, name), (place, block)
    print(f"{indexed_v1.recorded.name}: {compared} answers lie in what rows claim")
    assert compared > 1_000


def test_three_values_of_genesis_are_told_to_be_unsure(indexed_v1: tables_v1.Indexed) -> None:
    """A row with another model was confirmed before; the next row says from when its is sure."""
    wrong: dict[tables_v1.AssetAt, set[int]] = collections.defaultdict(set)
    for place, models in recorded_models(indexed_v1.recorded).items():
        for block, model in models.items():
            row = indexed_v1.tables.assets.at(place, block)
            if row is None or all(
                getattr(row.model, name) == getattr(model, name) for name in model.__struct_fields__
            ):
                continue
            wrong[place].add(block)
            assert row.rates_confirmed_block is not None
            assert row.rates_confirmed_block <= block
            caught = min(
                one for one in contexts_of(indexed_v1.recorded, place) if one > max(wrong[place])
            )
            later = indexed_v1.tables.assets.at(place, caught)
            assert later is not None
            assert later.rate_model_block == caught
            for name in model.__struct_fields__:
                assert getattr(later.model, name) == getattr(models[caught], name)
    is_genesis = indexed_v1.recorded.name == GENESIS
    assert sorted(map(sorted, wrong.values())) == ([[29, 30, 31]] if is_genesis else [])


async def test_a_sample_is_sure_from_its_block_on() -> None:
    """The model of block 30, which no event told, is read with the prices of block 30."""
    folder = test_reconcile_v1.DATA / GENESIS
    loaded, recorded = chain.load(folder), truth_v1.recorded(GENESIS)
    head = playhead.Playhead.at_block(loaded, 30)
    async with (
        postgres.fresh_database(migrated=True) as url,
        server.RecordingServer(loaded, head) as node,
    ):
        environ = test_reconcile_v1.environment(folder, node.url, url)
        unsampled = environ | {"VESU_PRICES_SAMPLE_SECONDS": "0"}
        await stage.command(unsampled, "run", "--until-block", "30", "--no-serve")
        before = await stage.json_of(environ, "assets", "--at-block", "30")
        environ |= {"VESU_PRICES_SAMPLE_SECONDS": "1", "VESU_NODE_POLL_INTERVAL_SECONDS": "0.05"}
        process = await stage.start(environ, "run", "--no-serve")
        await test_prices.sampled_at(url, truth.Recorded(folder).hashes[30])
        process.terminate()
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (out, err)
        after = await stage.json_of(environ, "assets", "--at-block", "30")
    models = recorded_models(recorded)
    changed = 0
    for one, sampled in zip(before["assets"], after["assets"], strict=True):
        place = tables_v1.AssetAt(
            *(int(sampled[name], 16) for name in ("pool_address", "pool_id", "asset_address"))
        )
        for name in truth_v1.InterestRateConfig.__struct_fields__:
            assert int(sampled[name]) == getattr(models[place][30], name)
        assert sampled["rates_confirmed_block"] == 30
        if one["target_rate_percent"] != sampled["target_rate_percent"]:
            changed += 1
            assert one["rates_confirmed_block"] < 30
            assert sampled["rate_model_block"] == 30
        else:
            assert sampled["rate_model_block"] == one["rate_model_block"]
    assert changed == 1
