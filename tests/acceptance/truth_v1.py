"""The contracts' own answers in a recording of Vesu V1, typed, by view and code generation.

`python -m tests.acceptance.truth_v1` prints how many there are of each.
"""

from __future__ import annotations

import collections
import functools
import gzip
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from indexer.cairo import selector
from indexer.recording import chain
from tests.acceptance import abi_views, truth

DATA = pathlib.Path(__file__).parents[1] / "data"
_ROOTS = {
    "singleton_v10": "singleton_v1_0",
    "extension_v0": "extension_v1_0_genesis",
    "extension_v10": "extension_v1_0",
    "singleton_v11": "singleton_v1_1",
    "extension_v11": "extension_v1_1",
}
RECORDINGS = ("devnet-v10-genesis", "devnet-v10-migration", "devnet-v11")


UPDATE_CONTEXT = hex(selector.of("UpdateContext"))

Place = tuple[int, int]
"""Transaction and event index in a block."""


class _Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct of the contracts: the ABI's fields, all of them and no other."""


class AssetConfig(_Answered, frozen=True):
    """The 20 felts of V1's AssetConfig."""

    total_collateral_shares: int
    total_nominal_debt: int
    reserve: int
    max_utilization: int
    floor: int
    scale: int
    is_legacy: bool
    last_updated: int
    last_rate_accumulator: int
    last_full_utilization_rate: int
    fee_rate: int


class Position(_Answered, frozen=True):
    collateral_shares: int
    nominal_debt: int


class AssetPrice(_Answered, frozen=True):
    value: int
    is_valid: bool


class LTVConfig(_Answered, frozen=True):
    max_ltv: int


class LiquidationConfig(_Answered, frozen=True):
    liquidation_factor: int


class Pair(_Answered, frozen=True):
    total_collateral_shares: int
    total_nominal_debt: int


class InterestRateConfig(_Answered, frozen=True):
    min_target_utilization: int
    max_target_utilization: int
    target_utilization: int
    min_full_utilization_rate: int
    max_full_utilization_rate: int
    zero_utilization_rate: int
    rate_half_life: int
    target_rate_percent: int


class OracleConfig(_Answered, frozen=True):
    """The last three fields do not exist in the first extension (Genesis)."""

    pragma_key: int
    timeout: int
    number_of_sources: int
    start_time_offset: int | None = None
    time_window: int | None = None
    aggregation_mode: int | None = None


class ShutdownConfig(_Answered, frozen=True):
    recovery_period: int
    subscription_period: int


class ShutdownStatus(_Answered, frozen=True):
    """The timestamps do not exist in V1.1b."""

    shutdown_mode: int
    violating: bool
    previous_violation_timestamp: int | None = None
    count_at_violation_timestamp: int | None = None


class FeeConfig(_Answered, frozen=True):
    fee_recipient: int


class Held(NamedTuple):
    """What position() says: exact state and its amounts, collateral down and debt up."""

    position: Position
    collateral: int
    debt: int


class Accrued(NamedTuple):
    """What asset_config() says: accrued state, and the fee shares in it that nobody has yet."""

    config: AssetConfig
    fee_shares: int


class Collateralized(NamedTuple):
    """What check_collateralization() says; values in USD scaled by 10^18."""

    is_safe: bool
    collateral_value: int
    debt_value: int


_TYPES: dict[str, Any] = {
    "asset_config": Accrued,
    "asset_config_unsafe": Accrued,
    "position": Held,
    "position_unsafe": Held,
    "check_collateralization_unsafe": Collateralized,
    "ltv_config": LTVConfig,
    "price": AssetPrice,
    "interest_rate_config": InterestRateConfig,
    "oracle_config": OracleConfig,
    "pairs": Pair,
    "liquidation_config": LiquidationConfig,
    "shutdown_ltv_config": LTVConfig,
    "shutdown_config": ShutdownConfig,
    "shutdown_status": ShutdownStatus,
    "fee_config": FeeConfig,
}


class Answer(NamedTuple):
    """One answer: `value` as the view's type, or `error` as the node worded it."""

    block: int
    generation: str
    contract: int
    view: str
    arguments: dict[str, Any]
    value: Any = None
    error: str | None = None


class RecordedV1(truth.Recorded):
    """A V1 recording, or one of its abandoned branches (`fork`)."""

    def __init__(self, name: str, fork: int | None = None) -> None:
        self.name = name
        self.chain = chain.load(DATA / name)
        self.branch = self.chain.main if fork is None else self.chain.branch(fork)
        super().__init__(self.branch.folder, self.chain)
        self.manifest = self.chain.manifest  # a branch's own tells its story alone

    @functools.cached_property
    def answers(self) -> dict[str, list[Answer]]:
        """All answers of Vesu's contracts by view, in the recording's order."""
        found: dict[str, list[Answer]] = collections.defaultdict(list)
        for name, calls in self.calls.items():
            for call in calls:
                if call["contract"] in self._tokens:
                    continue
                found[name].append(self._answer(call))
        return found

    def answered(self, *views: str) -> Iterator[Answer]:  # type: ignore[override]
        """The answers of these views that are not errors."""
        for view in views:
            yield from (answer for answer in self.answers[view] if answer.error is None)

    @functools.cached_property
    def contracts(self) -> dict[int, str]:
        """Names of the manifest's contracts by address."""
        return {
            int(contract["address"], 16): name
            for name, contract in self.manifest["contracts"].items()
        }

    def address(self, name: str) -> int | None:
        """Address of a named contract; None where the recording has none."""
        return next((at for at, named in self.contracts.items() if named == name), None)

    @property
    def roots(self) -> list[dict[str, Any]]:
        return [
            {
                "kind": kind,
                "address": contract["address"],
                "from_block": contract["deployed_at_block"],
            }
            for name, contract in self.manifest["contracts"].items()
            if (kind := _ROOTS.get(name))
        ]

    @functools.cached_property
    def events(self) -> list[dict[str, Any]]:
        """The node's getEvents answers, all of them in order."""
        with gzip.open(self.folder / "events.jsonl.gz") as lines:
            return [json.loads(line) for line in lines]

    def singleton_of(self, contract: int) -> int:
        """The contract that holds the pools of an extension; a singleton's is itself."""
        later = self.contracts[contract].endswith("v11")
        found = self.address("singleton_v11" if later else "singleton_v10")
        assert found is not None
        return found

    @functools.cached_property
    def prices(self) -> dict[tuple[int, int, int, int], AssetPrice]:
        """Prices by singleton, pool id, asset and block.

        The extension that holds a pool during its migration passes the old one's prices on.
        """
        return {
            (self.singleton_of(one.contract), *one.arguments.values(), one.block): one.value
            for one in self.answered("price")
        }

    @functools.cached_property
    def extensions(self) -> dict[tuple[int, int, int], int]:
        """The extension that a pool listens to, by singleton, pool id and block."""
        return {
            (one.contract, one.arguments["pool_id"], one.block): one.value
            for one in self.answered("extension")
            if one.arguments
        }

    @functools.cached_property
    def told_prices(self) -> dict[tuple[int, int, int, int], Place]:
        """Where a block's last UpdateContext of an asset stands, by singleton, pool id, asset
        and block."""
        return {
            (int(raw["from_address"], 16), int(pool, 16), int(asset, 16), raw["block_number"]): (
                raw["transaction_index"],
                raw["event_index"],
            )
            for raw in self.events
            if raw["keys"][0] == UPDATE_CONTEXT
            for pool, *assets in [raw["keys"][1:]]
            for asset in assets
        }

    @functools.cached_property
    def submitted_prices(self) -> dict[tuple[int, int], Place]:
        """Where the oracle was last told a spot price of an asset, by asset and block.

        The mock's entries name the key where Pragma's name the source.
        """
        oracle = self.manifest["contracts"]["mock_pragma_oracle"]["address"]
        tokens = self.manifest["tokens"].values()
        assets = {one["oracle_key"]: one["address"] for one in tokens if "oracle_key" in one}
        return {
            (int(assets[raw["data"][1]], 16), raw["block_number"]): (
                raw["transaction_index"],
                raw["event_index"],
            )
            for raw in self.events
            if raw["from_address"] == oracle
        }

    @functools.cached_property
    def all_v_tokens(self) -> dict[int, tuple[int, int, int]]:
        """(singleton, pool id, asset) of each vToken."""
        deployed = {
            one["address"]: one["generation"] for one in self.manifest["contracts"].values()
        }
        found = {}
        for entry in self.manifest["v_tokens"]:
            singleton = self.address(f"singleton_{deployed[entry['address']]}")
            assert singleton is not None
            place = (singleton, int(entry["pool"], 16), int(entry["asset"], 16))
            found[int(entry["address"], 16)] = place
        return found

    @functools.cached_property
    def genesis(self) -> frozenset[int]:
        """Ids of the pools on the first extension."""
        return frozenset(
            int(pool["pool_id"], 16)
            for pool in self.manifest["pools"].values()
            if pool.get("extension") == "extension_v0"
        )

    def generation(self, contract: int, pool: int | None, block: int) -> str:
        """The code that answered: v1.0 genesis, v1.0, v1.1a or v1.1b.

        A vToken counts as the singleton that it stands on.
        """
        if contract in self.all_v_tokens:
            contract, pool, _ = self.all_v_tokens[contract]
        if self.contracts[contract] == "extension_v0" or pool in self.genesis:
            return "v1.0 genesis"
        if self.contracts[contract] in ("singleton_v10", "extension_v10"):
            return "v1.0"
        later = ("SingletonV2b", "DefaultExtensionPOV2b")
        is_later = self._class_at(contract, block) in {
            self.manifest["classes"][name] for name in later
        }
        return "v1.1b" if is_later else "v1.1a"

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(answers, errors) by view and generation."""
        found: dict[tuple[str, str], list[int]] = collections.defaultdict(lambda: [0, 0])
        for view, answers in self.answers.items():
            for answer in answers:
                found[view, answer.generation][answer.error is not None] += 1
        return {key: (good, bad) for key, (good, bad) in sorted(found.items())}

    @functools.cached_property
    def _tokens(self) -> frozenset[str]:
        return frozenset(token["address"] for token in self.manifest["tokens"].values())

    def _class_at(self, contract: int, block: int) -> str:
        address = hex(contract)
        changes = [
            (number, changed)
            for branch in (self.chain.main, self.branch)
            for number, changed in branch.class_hashes.get(address, [])
            if branch is self.branch or number <= self.branch.common
        ]
        known = [changed for number, changed in sorted(changes) if number <= block]
        return known[-1] if known else self.chain.predeployed[address][1]

    @functools.cache  # noqa: B019 - one recording lives as long as the tests
    def _views(self, class_hash: str) -> dict[str, abi_views.View]:
        text = self.chain.abi(class_hash)
        assert text is not None, f"no ABI of {class_hash}"
        return abi_views.views(json.loads(text))

    def _answer(self, call: dict[str, Any]) -> Answer:
        block, contract, name = call["block_number"], int(call["contract"], 16), call["name"]
        view = self._views(self._class_at(contract, block)).get(name)
        felts = truth.felts(call["calldata"])
        arguments: dict[str, Any] = view.read_arguments(felts) if view else {"felts": felts}
        generation = self.generation(contract, arguments.get("pool_id"), block)
        if "error" in call:
            error = json.dumps(call["error"])
            return Answer(block, generation, contract, name, arguments, error=error)
        assert view is not None, f"{name} was answered, but the ABI lacks it"
        value = msgspec.convert(
            view.read_answer(truth.felts(call["result"])), _TYPES.get(name, Any)
        )
        return Answer(block, generation, contract, name, arguments, value)


@functools.cache
def recorded(name: str, fork: int | None = None) -> RecordedV1:
    """A recording, read once."""
    return RecordedV1(name, fork)


def main() -> None:
    for name in RECORDINGS:
        print(name)
        for (view, generation), (good, bad) in recorded(name).counts().items():
            print(f"  {view:32} {generation:14} {good:6} answers {bad:4} errors")


if __name__ == "__main__":
    main()
