"""A stranger's pools on a recorded chain of Vesu V1, and every event that can be emitted for one.

The events are those of the packaged ABIs: all of them, but for what Vesu's own contracts emit for
themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from indexer.cairo import abi, selector, types
from indexer.vesu import decoders, kinds
from tests.acceptance import truth_v1
from tests.hostile import chain
from tests.hostile.chain import MALLORY, i257, u256

Kind = kinds.Kind

PRIME = 2**251 + 17 * 2**192 + 1
LIMITS = (0, 1, 2**64 - 1, 2**128 - 1, 2**128, 2**250, PRIME - 1)
"""Nothing, the least, the most of a u64 and of a u256's half, one more than that, and felts that
are no number of Cairo's: the last two of the field's upper half."""

FIRST_POOL, V_TOKEN = 0xA_0000, 0xB00_0000
RATES = u256(20_000, 40_000, 30_000, 10**9, 10**11, 10**8, 86_400, 10**17)
FLOOR = int.from_bytes(b"floor")

OF_VESU = frozenset(
    {
        "ContractUpgraded",
        "OwnershipTransferred",
        "OwnershipTransferStarted",
        "SetExtensionWhitelist",
    }
)
"""What singletons and extensions emit for their owner, who is Vesu."""

Event = tuple[int, Sequence[int], Sequence[int]]
"""Emitter, keys with the selectors, data."""


class Case(NamedTuple):
    """An event of a pool, and what was changed in it: a felt's number and its value (None: none).

    Keys after the selectors are counted first.
    """

    pool: int
    event: str
    changed: tuple[int, int] | None
    emitted: Event


class Strangers:
    """Strangers' pools on one extension of a recorded chain; a pool for each case."""

    def __init__(self, recorded: truth_v1.RecordedV1, extension: str) -> None:
        self.recorded = recorded
        generation = extension.removeprefix("extension_")
        self.extension = _address(recorded, extension)
        self.singleton = recorded.singleton_of(self.extension)
        tokens = recorded.manifest["tokens"]
        self.collateral, self.debt = (int(tokens[one]["address"], 16) for one in ("ETH", "USDC"))
        singleton = Kind.SINGLETON_V1_1 if generation == "v11" else Kind.SINGLETON_V1_0
        self.kind = {
            "v0": Kind.EXTENSION_V1_0_GENESIS,
            "v10": Kind.EXTENSION_V1_0,
            "v11": Kind.EXTENSION_V1_1,
        }[generation]
        self._tables = {
            self.singleton: decoders.table(singleton),
            self.extension: decoders.table(self.kind),
            V_TOKEN: decoders.table(kinds.V_TOKENS[singleton]),
        }

    def created(self, pool: int) -> Iterator[Event]:
        """A pool with two assets, a pair and a vToken, as its extension makes it."""
        for emitter, name in (
            (self.singleton, "SetExtension"),
            (self.singleton, "SetAssetConfig"),
            (self.singleton, "SetLTVConfig"),
            (self.singleton, "CreatePool"),
            (self.extension, "CreateVToken"),
            (self.extension, "SetShutdownConfig"),
        ):
            for path, layout in self._layouts(emitter):
                if layout.name == name:
                    yield self._event(emitter, path, layout, pool, 0)
                    break
        yield self._named(self.singleton, "SetAssetConfig", pool, asset=[self.debt])

    def used(self, pool: int, now: int) -> Iterator[Event]:
        """The stranger deposits: the market is told, and the position."""
        yield self.context(pool, now)
        yield self._named(self.singleton, "ModifyPosition", pool)

    def context(self, pool: int, now: int) -> Event:
        """What the singleton tells of the market before an action."""
        return self._named(self.singleton, "UpdateContext", pool, now)

    def used_later(self, pool: int) -> Iterator[Event]:
        """A donation, which accrues what the market holds, and a deposit."""
        yield self._named(self.singleton, "Donate", pool)
        yield self._named(self.singleton, "ModifyPosition", pool)

    def asking(self, pool: int, now: int) -> Iterator[Event]:
        """Events that have the fold ask every view of a pool that it ever asks."""
        yield self._named(self.singleton, "SetAssetParameter", pool)
        yield self._named(self.singleton, "RetrieveReserve", pool)
        yield self._named(self.singleton, "AccrueFees", pool)
        yield self._named(self.extension, "SetFeeConfig", pool)
        yield self._named(self.extension, "SetPoolOwner", pool)
        yield self._named(self.extension, "SetInterestRateConfig", pool)
        yield self._named(self.singleton, "TransferPosition", pool)
        invalid = [*u256(10**18), 0]
        yield self._named(
            self.singleton, "UpdateContext", pool, now, collateral_asset_price=invalid
        )

    def cases(self, now: int) -> Iterator[Case]:
        """Every event of a pool as it should be, and with each felt at each limit."""
        pool = FIRST_POOL
        for emitter in self._tables:
            for path, layout in self._layouts(emitter):
                as_it_is = self._event(emitter, path, layout, pool, now)
                count = sum(map(len, as_it_is[1:])) - len(path)
                yield Case(pool, layout.name, None, as_it_is)
                pool += 1
                for place in range(count):
                    for limit in LIMITS:
                        address, keys, data = self._event(emitter, path, layout, pool, now)
                        felts = [*keys, *data]
                        felts[len(path) + place] = limit
                        changed = (address, felts[: len(keys)], felts[len(keys) :])
                        yield Case(pool, layout.name, (place, limit), changed)
                        pool += 1

    def _layouts(self, emitter: int) -> Iterator[tuple[abi.Path, abi.Layout]]:
        for path, layouts in self._tables[emitter].items():
            for layout in layouts.values():
                if layout.name not in OF_VESU:
                    yield path, layout

    def _named(
        self, emitter: int, name: str, pool: int, now: int = 0, **values: list[int]
    ) -> Event:
        found = ((path, layout) for path, layout in self._layouts(emitter) if layout.name == name)
        path, layout = next(found)
        return self._event(emitter, path, layout, pool, now, **values)

    def _event(
        self,
        emitter: int,
        path: abi.Path,
        layout: abi.Layout,
        pool: int,
        now: int,
        **values: list[int],
    ) -> Event:
        known = self._values(layout.name, pool, now) | values
        keys, data = (_felts(members, known) for members in (layout.keys, layout.data))
        address = v_token_of(pool) if emitter == V_TOKEN else emitter
        return address, [*path, *keys], data

    def _values(self, event: str, pool: int, now: int) -> Mapping[str, list[int]]:
        """What a member of an event holds, by its name; what is not here holds ones."""
        config = chain.config(0, last_updated=now)[:20]
        price = [*u256(10**18), 1]
        takes = event in ("LiquidatePosition", "TransferPosition")
        delta = i257(-(10**6) if takes else 10**6)
        values = {
            "pool_id": [pool],
            "extension": [self.extension],
            "v_token": [v_token_of(pool)],
            "parameter": [FLOOR],
            "collateral_asset_config": config,
            "debt_asset_config": config,
            "collateral_asset_price": price,
            "debt_asset_price": price,
            "interest_rate_config": RATES,
            "ltv_config": [8 * 10**17],
            "shutdown_ltv_config": [85 * 10**16],
            "liquidation_config": [9 * 10**17],
            "shutdown_config": [86_400, 86_400],
            "shutdown_mode": [0],
            "collateral_delta": delta,
            "collateral_shares_delta": delta,
            "debt_delta": i257(0),
            "nominal_debt_delta": i257(0),
            "bad_debt": u256(0),
            "to_user": [0x11],
            "from": [0] if event == "Transfer" else [MALLORY],
        }
        for name in ("asset", "collateral_asset", "from_collateral_asset", "to_collateral_asset"):
            values[name] = [self.collateral]
        for name in ("debt_asset", "from_debt_asset", "to_debt_asset"):
            values[name] = [self.debt]
        for name in ("user", "from_user", "to", "owner", "creator", "recipient", "receiver"):
            values[name] = [MALLORY]
        return values

    # --- what their contracts answer ----------------------------------------------------------

    def answers(self, pool: int, now: int) -> Mapping[int, list[int]]:
        """What the singleton and the extension answer about a pool, by the view's selector."""
        told = {
            "pool_name": [0x6D696E65],
            "pool_owner": [MALLORY],
            "asset_config_unsafe": [*chain.config(0, last_updated=now)[:20], 0, 0],
            "v_token_for_collateral_asset": [v_token_of(pool)],
            "interest_rate_config": RATES,
            "shutdown_status": [0, 0] if self.kind is Kind.EXTENSION_V1_1 else [0, 0, 0, 0],
            "price": [*u256(10**18), 1],
        }
        return {selector.of(view): felts for view, felts in told.items()}


def v_token_of(pool: int) -> int:
    """The vToken of a stranger's pool."""
    return V_TOKEN + pool


def _felts(members: Sequence[types.Member], values: Mapping[str, list[int]]) -> list[int]:
    felts: list[int] = []
    for name, type_ in members:
        size = types.size([type_])
        assert size is not None, name
        value = values.get(name, [1, 0] if size == 2 else [1] * size)
        assert len(value) == size, (name, value, size)
        felts += value
    return felts


def _address(recorded: truth_v1.RecordedV1, name: str) -> int:
    found = recorded.address(name)
    assert found is not None, name
    return found
