"""Decoders: from an event's felts to its typed value, by (kind, selector, inner selector).

The same selector has different layouts in different kinds, so the kind always decides. A
payload must have exactly the felts that its ABI gives it, each within its type. V2's kinds are
decoded by hand, V1's by their ABIs, read at their first event; of what V2's decoders refuse,
the ABI says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from indexer import errors
from indexer.cairo import abi, felt252, text, types
from indexer.vesu import events, kinds, packaged, selectors
from indexer.vesu.v1 import events as events_v1
from indexer.vesu.v2 import events as events_v2

LIMB = 1 << 128
U64 = 1 << 64

Felts = Sequence[int]


class Shape(NamedTuple):
    """How an event is laid out: felts after its selectors, felts of data, and its builder.

    `keys` is None where a ByteArray stands among the keys and the builder checks the length.
    """

    name: str
    keys: int | None
    data: int
    build: Callable[[Felts, Felts], events.VesuEvent]


More = Mapping[kinds.Kind, abi.Table]
"""Events of ABIs that came after this release, by kind."""


def decode(
    kind: kinds.Kind, keys: Sequence[str], data: Sequence[str], more: More | None = None
) -> events.VesuEvent | None:
    """The typed event; None for a selector that this kind does not know.

    `more` is asked where the release has no answer: its events have a name and arguments, and
    no meaning for the fold. UndecodableEventError where the selector is known and the payload
    does not fit it.
    """
    table = (more or {}).get(kind)
    if table is None:
        return _decode(kind, keys, data)
    try:
        event = _decode(kind, keys, data)
    except errors.UndecodableEventError as error:
        event = _by_table(table, kind, keys, data)
        if event is None:
            raise error from None
    return _by_table(table, kind, keys, data) if event is None else event


def _decode(kind: kinds.Kind, keys: Sequence[str], data: Sequence[str]) -> events.VesuEvent | None:
    if not keys:
        return None
    shapes = _SHAPES.get(kind)
    if shapes is None:
        found = _by_abi(kind, keys, data)
        return None if found is None else events_v1.typed(found)
    skip = 1
    shape = shapes.get(keys[0])
    if shape is None and len(keys) > 1:
        shape, skip = shapes.get((keys[0], keys[1])), 2
    if shape is None:
        return None
    try:
        _check_length(shape, len(keys) - skip, len(data))
        return shape.build(_felts(keys[skip:]), _felts(data))
    except ValueError as error:
        _by_abi(kind, keys, data)  # refuses it too, and says which member is the wrong one
        raise errors.UndecodableEventError(f"{shape.name} of {kind.value}: {error}") from error


def known_selectors(kind: kinds.Kind) -> frozenset[str]:
    """First selectors that this kind is known to emit, in minimal hex."""
    if kind in _SHAPES:
        return frozenset(key if isinstance(key, str) else key[0] for key in _SHAPES[kind])
    return frozenset(path[0] for path in packaged.load(*_ABIS[kind]))


def _by_abi(kind: kinds.Kind, keys: Sequence[str], data: Sequence[str]) -> events.AbiEvent | None:
    return _by_table(packaged.load(*_ABIS[kind]), kind, keys, data)


def _by_table(
    table: abi.Table, kind: kinds.Kind, keys: Sequence[str], data: Sequence[str]
) -> events.AbiEvent | None:
    found = abi.find(table, keys)
    if found is None:
        return None
    skip, layouts = found
    try:
        return events.AbiEvent(*abi.decode(layouts, _felts(keys[skip:]), _felts(data)))
    except ValueError as error:
        name = next(iter(layouts.values())).name
        raise errors.UndecodableEventError(f"{name} of {kind.value}: {error}") from error


def _felts(hexes: Sequence[str]) -> list[int]:
    felts = [int(felt, 16) for felt in hexes]
    if felts and not 0 <= min(felts) <= max(felts) < felt252.PRIME:
        raise ValueError("a felt is out of range")
    return felts


def _check_length(shape: Shape, keys: int, data: int) -> None:
    if data != shape.data or (shape.keys is not None and keys != shape.keys):
        wanted = "its" if shape.keys is None else shape.keys
        raise ValueError(
            f"expected {wanted} key and {shape.data} data felts, found {keys} and {data}"
        )


# --- types -----------------------------------------------------------------------------


def _asset_config(d: Felts, at: int) -> events_v2.AssetConfig:
    return events_v2.AssetConfig(
        types.u256(d[at], d[at + 1]),
        types.u256(d[at + 2], d[at + 3]),
        types.u256(d[at + 4], d[at + 5]),
        types.u256(d[at + 6], d[at + 7]),
        types.u256(d[at + 8], d[at + 9]),
        types.u256(d[at + 10], d[at + 11]),
        types.boolean(d[at + 12]),
        types.below(d[at + 13], U64),
        types.u256(d[at + 14], d[at + 15]),
        types.u256(d[at + 16], d[at + 17]),
        types.u256(d[at + 18], d[at + 19]),
        types.u256(d[at + 20], d[at + 21]),
    )


def _asset_price(d: Felts, at: int) -> events.AssetPrice:
    return events.AssetPrice(types.u256(d[at], d[at + 1]), types.boolean(d[at + 2]))


def _rate_config(d: Felts, at: int) -> events.InterestRateConfig:
    return events.InterestRateConfig(*(types.u256(d[i], d[i + 1]) for i in range(at, at + 16, 2)))


# --- V2: pool --------------------------------------------------------------------------


def _update_context(k: Felts, d: Felts) -> events_v2.UpdateContext:
    return events_v2.UpdateContext(
        k[0],
        k[1],
        _asset_config(d, 0),
        _asset_config(d, 22),
        _asset_price(d, 44),
        _asset_price(d, 47),
    )


def _modify_position(k: Felts, d: Felts) -> events_v2.ModifyPosition:
    return events_v2.ModifyPosition(
        k[0],
        k[1],
        k[2],
        types.i257(d[0], d[1], d[2]),
        types.i257(d[3], d[4], d[5]),
        types.i257(d[6], d[7], d[8]),
        types.i257(d[9], d[10], d[11]),
    )


def _liquidate_position(k: Felts, d: Felts) -> events_v2.LiquidatePosition:
    return events_v2.LiquidatePosition(
        k[0],
        k[1],
        k[2],
        k[3],
        types.i257(d[0], d[1], d[2]),
        types.i257(d[3], d[4], d[5]),
        types.i257(d[6], d[7], d[8]),
        types.i257(d[9], d[10], d[11]),
        types.u256(d[12], d[13]),
    )


def _pair_config(k: Felts, d: Felts) -> events_v2.SetPairConfig:
    return events_v2.SetPairConfig(
        k[0],
        k[1],
        events_v2.PairConfig(
            types.below(d[0], U64), types.below(d[1], U64), types.below(d[2], LIMB)
        ),
    )


def _oracle_config(k: Felts, d: Felts) -> events_v2.SetOracleConfig:
    if d[5] > 2:
        raise ValueError(f"there is no aggregation mode {d[5]}")
    return events_v2.SetOracleConfig(
        k[0],
        events_v2.OracleConfig(
            d[0],
            types.below(d[1], U64),
            types.below(d[2], 1 << 32),
            types.below(d[3], U64),
            types.below(d[4], U64),
            d[5],
        ),
    )


def _create_v_token(k: Felts, _: Felts) -> events_v2.CreateVToken:
    name, taken = text.byte_array(k[3:])
    symbol, rest = text.byte_array(k[3 + taken :])
    if len(k) != 3 + taken + rest:
        raise ValueError(f"{len(k) - 3 - taken - rest} felts too many in the keys")
    return events_v2.CreateVToken(k[0], k[1], k[2], name, symbol)


_OWNERSHIP = (
    Shape("OwnershipTransferred", 2, 0, lambda k, d: events.OwnershipTransferred(*k)),
    Shape("OwnershipTransferStarted", 2, 0, lambda k, d: events.OwnershipTransferStarted(*k)),
)
_UPGRADED = Shape("ContractUpgraded", 0, 1, lambda k, d: events.ContractUpgraded(d[0]))

_POOL = (
    *_OWNERSHIP,
    _UPGRADED,
    Shape("UpdateContext", 2, 50, _update_context),
    Shape("ModifyPosition", 3, 12, _modify_position),
    Shape("LiquidatePosition", 4, 14, _liquidate_position),
    Shape(
        "Flashloan",
        3,
        2,
        lambda k, d: events_v2.Flashloan(k[0], k[1], k[2], types.u256(d[0], d[1])),
    ),
    Shape(
        "ModifyDelegation",
        2,
        1,
        lambda k, d: events_v2.ModifyDelegation(k[0], k[1], types.boolean(d[0])),
    ),
    Shape("Donate", 1, 2, lambda k, d: events_v2.Donate(k[0], types.u256(d[0], d[1]))),
    Shape(
        "SetAssetConfig", 1, 22, lambda k, d: events_v2.SetAssetConfig(k[0], _asset_config(d, 0))
    ),
    Shape("SetOracle", 0, 1, lambda k, d: events_v2.SetOracle(d[0])),
    Shape("SetPairConfig", 2, 3, _pair_config),
    Shape(
        "ClaimFees",
        1,
        5,
        lambda k, d: events_v2.ClaimFees(
            k[0], d[0], types.u256(d[1], d[2]), types.u256(d[3], d[4])
        ),
    ),
    Shape("SetFeeRecipient", 1, 0, lambda k, d: events_v2.SetFeeRecipient(k[0])),
    Shape("SetPausingAgent", 1, 0, lambda k, d: events_v2.SetPausingAgent(k[0])),
    Shape("SetCurator", 1, 0, lambda k, d: events_v2.SetCurator(k[0])),
    Shape("NominateCurator", 1, 0, lambda k, d: events_v2.NominateCurator(k[0])),
    Shape("ContractPaused", 0, 1, lambda k, d: events_v2.ContractPaused(d[0])),
    Shape("ContractUnpaused", 0, 1, lambda k, d: events_v2.ContractUnpaused(d[0])),
)
_POOL_NESTED = {
    "InterestRateModelEvents": (
        Shape(
            "SetInterestRateConfig",
            0,
            17,
            lambda k, d: events_v2.SetInterestRateConfig(d[0], _rate_config(d, 1)),
        ),
    )
}

# --- V2: factory, oracle, vToken -------------------------------------------------------

_FACTORY = (
    *_OWNERSHIP,
    _UPGRADED,
    Shape("CreatePool", 5, 0, lambda k, d: events_v2.CreatePool(*k)),
    Shape("AddAsset", 2, 0, lambda k, d: events_v2.AddAsset(*k)),
    Shape("CreateVToken", None, 0, _create_v_token),
    Shape("UpdateVToken", 4, 0, lambda k, d: events_v2.UpdateVToken(*k)),
    Shape("CreateOracle", 2, 0, lambda k, d: events_v2.CreateOracle(*k)),
)
_ORACLE = (
    *_OWNERSHIP,
    Shape("ContractUpgraded", 1, 0, lambda k, d: events.ContractUpgraded(k[0])),
    Shape("SetOracleConfig", 1, 6, _oracle_config),
    Shape("SetManager", 1, 0, lambda k, d: events_v2.SetManager(k[0])),
    Shape("NominateManager", 1, 0, lambda k, d: events_v2.NominateManager(k[0])),
)
_VTOKEN = (
    Shape("Transfer", 2, 2, lambda k, d: events.Transfer(k[0], k[1], types.u256(d[0], d[1]))),
    Shape("Approval", 2, 2, lambda k, d: events.Approval(k[0], k[1], types.u256(d[0], d[1]))),
    Shape(
        "Deposit",
        2,
        4,
        lambda k, d: events.Deposit(k[0], k[1], types.u256(d[0], d[1]), types.u256(d[2], d[3])),
    ),
    Shape(
        "Withdraw",
        3,
        4,
        lambda k, d: events.Withdraw(
            k[0], k[1], k[2], types.u256(d[0], d[1]), types.u256(d[2], d[3])
        ),
    ),
)

_Table = dict[str | tuple[str, str], Shape]


def _table(flat: Sequence[Shape], nested: Mapping[str, Sequence[Shape]] | None = None) -> _Table:
    def selector(name: str) -> str:
        return hex(selectors.EVENTS[name])

    table: _Table = {selector(shape.name): shape for shape in flat}
    for component, shapes in (nested or {}).items():
        for shape in shapes:
            table[selector(component), selector(shape.name)] = shape
    return table


_SHAPES: dict[kinds.Kind, _Table] = {
    kinds.Kind.POOL_V2: _table(_POOL, _POOL_NESTED),
    kinds.Kind.POOL_FACTORY_V2: _table(_FACTORY),
    kinds.Kind.ORACLE_V2: _table(_ORACLE),
    kinds.Kind.VTOKEN_V2: _table(_VTOKEN),
    # Pools inside a singleton emit nothing: the singleton speaks for them.
    **{kind: {} for kind in kinds.POOLS.values()},
}

_ABIS: dict[kinds.Kind, tuple[str, ...]] = {
    kinds.Kind.POOL_V2: ("pool_v2",),
    kinds.Kind.POOL_FACTORY_V2: ("pool_factory_v2",),
    kinds.Kind.ORACLE_V2: ("oracle_v2",),
    kinds.Kind.VTOKEN_V2: ("vtoken_v2",),
    # The audited code's AccrueFees is kept beside the deployed one's: a test network may run it.
    kinds.Kind.SINGLETON_V1_0: ("singleton_v1", "singleton_v1_audited"),
    kinds.Kind.EXTENSION_V1_0_GENESIS: ("extension_v0_genesis",),
    kinds.Kind.EXTENSION_V1_0: ("extension_po_v1", "extension_cl_v1", "extension_ek_v1"),
    kinds.Kind.VTOKEN_V1_0: ("vtoken_v1",),
    kinds.Kind.SINGLETON_V1_1: ("singleton_v1_1a", "singleton_v1_1b"),
    kinds.Kind.EXTENSION_V1_1: ("extension_po_v1_1a_with_utils_events", "extension_po_v1_1b"),
    kinds.Kind.VTOKEN_V1_1: ("vtoken_v1_1",),
}
"""Packaged ABIs of each kind; one address may run several classes."""
