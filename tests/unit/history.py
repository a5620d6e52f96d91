"""Histories made by hand: events folded one after another, with what discovery learns of them."""

from __future__ import annotations

from indexer.vesu import discovery, events, fold, kinds, maths, state
from indexer.vesu.v2 import events as events_v2

SCALE = maths.SCALE
FACTORY, POOL, OTHER_POOL, STRANGER = 0xFAC, 0x9001, 0x9002, 0xBAD
ETH, USDC, V_ETH, V_ETH_2 = 0xE, 0xC, 0x7E, 0x7E2
ALICE, BOB = 0xA11CE, 0xB0B
NOW = 1_700_000_000

MODEL = events.InterestRateConfig(75_000, 85_000, 87_500, 10**9, 10**10, 10**8, 172_800, SCALE // 5)


class History:
    """Events one after another, each in a transaction of its own; discovery as it goes."""

    def __init__(self) -> None:
        self.registry = discovery.Registry({FACTORY: discovery.Known(kinds.Kind.POOL_FACTORY_V2)})
        self.world = state.World()
        self.folding = fold.Fold(self.world, self.registry)
        self.block = 0

    def emit(self, emitter: int, *emitted: events.Struct) -> None:
        self.block += 1
        if emitter == FACTORY:
            for event in emitted:
                self.registry.learn(emitter, event)
        for index, event in enumerate(emitted):
            at = state.EventKey(self.block, 0, index)
            self.folding.apply(at, NOW + self.block, emitter, event)

    @property
    def journal(self) -> state.Journal:
        return self.folding.journal

    def frozen(self, pool: int = POOL) -> str:
        """Why a pool is quarantined; empty where it is not."""
        return self.world.contracts[pool].quarantine_reason or ""

    def position(self, user: int) -> state.PositionState:
        return self.world.positions[state.PositionKey(state.v2_pool(POOL), ETH, USDC, 0, user)]

    def balance(self, user: int, v_token: int = V_ETH) -> state.PositionState:
        return self.world.positions[state.PositionKey(state.v2_pool(POOL), ETH, 0, v_token, user)]


CREATE_POOL = events_v2.CreatePool(POOL, 0x5072696D65, owner=1, curator=2, oracle=3)
CREATE_V_ETH = events_v2.CreateVToken(POOL, ETH, V_ETH, "Vesu ETH", "vETH")


def config(scale: int, *, reserve: int = 10**24, shares: int = 10**24) -> events_v2.AssetConfig:
    return events_v2.AssetConfig(
        total_collateral_shares=shares,
        total_nominal_debt=0,
        reserve=reserve,
        max_utilization=SCALE,
        floor=0,
        scale=scale,
        is_legacy=False,
        last_updated=NOW,
        last_rate_accumulator=SCALE,
        last_full_utilization_rate=10**9,
        fee_rate=SCALE // 10,
        fee_shares=0,
    )


def context(eth_price: int, usdc_price: int) -> events_v2.UpdateContext:
    return events_v2.UpdateContext(
        ETH,
        USDC,
        config(SCALE),
        config(10**6, reserve=10**12),
        events.AssetPrice(eth_price * SCALE, is_valid=True),
        events.AssetPrice(usdc_price * SCALE, is_valid=True),
    )


def modify(user: int, shares: int, nominal: int = 0) -> events_v2.ModifyPosition:
    return events_v2.ModifyPosition(ETH, USDC, user, shares, shares, nominal // 10**12, nominal)


def made_pool() -> History:
    """A pool with ETH, its vToken and a first context."""
    made = History()
    made.emit(FACTORY, CREATE_POOL, events_v2.AddAsset(POOL, ETH), CREATE_V_ETH)
    made.emit(POOL, context(2_000, 1))
    return made
