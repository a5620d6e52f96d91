"""The ledger of a fold: the current state, replaced value by value, with a journal of changes.

Handlers of events read and write through it, so that no change escapes the journal.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from indexer import errors
from indexer.cairo import text, view_call
from indexer.vesu import accrual, discovery, kinds, state, storage, transaction

replace = msgspec.structs.replace

NOBODIES = frozenset({0, int.from_bytes(b"ZERO"), int.from_bytes(b"0x0")})
"""Holders that nobody owns: V1's inflation fee goes to 0x0, the first deposit of a new pool to
the text ZERO, migrated vTokens to the text 0x0."""


Origin = transaction.Origin


BLANK_ASSET = accrual.AssetState()
"""What is known of an asset before its first event."""

LONGEST_REASON = 500
"""Characters of a quarantine's reason that are kept."""


class PendingTransfer(msgspec.Struct, frozen=True, gc=False):
    """A transfer of a V1.0 position whose amounts are found out at the end of its block."""

    origin: Origin
    giver: state.PositionKey
    taker: state.PositionKey


class Ledger:
    """`world` as it stands, and the `journal` of what changed in it.

    `registry` must already know every contract of the batch. `answers` are the views that the
    log holds; a view that it lacks is noted as missing, and one that is `unanswered` freezes the
    pool that needs it. `transfer_amounts` is what transfers of V1.0 moved, as an earlier fold of
    the same batch found out (`settled`): it goes before. `closing` are V1 pools whose shutdown is
    asked after at the end of the block, with the last event.
    """

    def __init__(
        self,
        world: state.World,
        registry: discovery.Registry,
        answers: state.Answers | None = None,
        transfer_amounts: Mapping[state.EventKey, state.TransferAmounts] | None = None,
        unanswered: Collection[view_call.ViewCall] = (),
    ) -> None:
        self.world = world
        self.registry = registry
        self.journal = state.Journal()
        self.transient = transaction.Transient()
        self.transfer_amounts = {} if transfer_amounts is None else transfer_amounts
        self.unsettled: list[PendingTransfer] = []
        self.closing: dict[state.PoolKey, tuple[Origin, tuple[state.PairKey, ...]]] = {}
        self.settled: dict[state.EventKey, state.TransferAmounts] = {}
        self._replaced: list[tuple[dict[Any, Any], Any, Any]] = []
        self._entries = self.journal.changes()
        self._noted: tuple[int, ...] = ()
        self._answers = {} if answers is None else answers
        self._unanswered = unanswered

    # --- undoing an event ---------------------------------------------------------------

    def begin(self) -> None:
        """From here on, `undo` takes changes back."""
        self._replaced.clear()
        self._noted = tuple(map(len, self._entries))

    def undo(self) -> None:
        """Take back every change of state, and what was noted of it, since `begin`."""
        for values, key, before in reversed(self._replaced):
            if before is None:
                del values[key]
            else:
                values[key] = before
        self._replaced.clear()
        self.journal.cut(self._noted)

    def _replace(self, values: dict[Any, Any], key: Any, before: Any, changed: Any) -> None:
        self._replaced.append((values, key, before))
        values[key] = changed

    # --- pools that contradict themselves ------------------------------------------------

    def is_quarantined(self, pool: state.PoolKey) -> bool:
        """Whether the pool is frozen: its events change nothing any more."""
        contract = (
            self.world.contracts.get(pool.address) if _is_v2(pool) else self.world.pools.get(pool)
        )
        return contract is not None and contract.quarantine_reason is not None

    def quarantine(self, origin: Origin, pool: state.PoolKey, reason: str) -> None:
        """Freeze a pool as it stands before the event in hand, and say why in its row."""
        reason = text.storable(reason)[:LONGEST_REASON]
        if _is_v2(pool):
            self.contract(origin, pool.address, quarantine_reason=reason)
        else:
            self.pool(origin, pool, quarantine_reason=reason)
        self.journal.quarantined.append((origin.event_key, pool, reason))

    # --- state ---------------------------------------------------------------------------

    def ask(
        self, origin: Origin, contract: int, view: str, *calldata: int, is_name: bool = False
    ) -> tuple[int, ...] | None:
        """What a view answers at the end of this block; None where it refuses, or is not yet
        answered (then the batch will be folded again).

        ProjectionError where no node could answer it: what it would tell is not guessed. A name
        (`is_name`), on which no number rests, is None then.
        """
        call = view_call.ViewCall(origin.event_key.block_number, contract, view, calldata)
        if call not in self._answers:
            if call not in self.journal.missing:
                self.journal.missing.append(call)
            return None
        self.journal.consulted.add(call)
        if call in self._unanswered and not is_name:
            raise errors.ProjectionError(
                f"no node answered the view {view} of {contract:#x} at block {call.block_number}"
            )
        return self._answers[call]

    def may_ask(self, pool: state.PoolKey) -> bool:
        """Whether a V1 singleton's views of a pool run no stranger's code, which may never end.

        They call the pool's extension: one of ours, or Vesu's own that carries it over to V1.1.
        """
        contract = self.world.pools.get(pool)
        if contract is None:
            return False
        return (
            contract.successor is not None or self.registry.get(contract.extension or 0) is not None
        )

    def pool(self, origin: Origin, key: state.PoolKey, **changes: Any) -> None:
        """Change settings of a pool in a V1 singleton; the first change creates its row."""
        before = current = self.world.pools.get(key)
        if current is None:
            holder = self.registry.get(key.address)
            assert holder is not None, "a V1 pool is only made by a singleton of ours"
            current = state.ContractState(
                kinds.POOLS[holder.kind],
                key,
                created_block=origin.event_key.block_number,
                created_at=origin.timestamp,
            )
        changed = replace(current, last_event_block=origin.event_key.block_number, **changes)
        self._replace(self.world.pools, key, before, changed)
        self.journal.pools.append((origin.event_key, key, changed))

    def contract(self, origin: Origin, address: int, **changes: Any) -> None:
        """Change settings of a contract; the first change creates its row."""
        before = current = self.world.contracts.get(address)
        if current is None:
            known = self.registry.get(address)
            if known is None:
                return
            current = state.ContractState(
                known.kind,
                known.pool,
                known.asset,
                created_block=origin.event_key.block_number,
                created_at=origin.timestamp,
            )
        changed = replace(current, last_event_block=origin.event_key.block_number, **changes)
        self._replace(self.world.contracts, address, before, changed)
        self.journal.contracts.append((origin.event_key, address, changed))

    def asset(self, origin: Origin, key: state.AssetKey, changed: accrual.AssetState) -> None:
        """Replace an asset's state. ProjectionError where the contract could not store it."""
        storage.require_storable(origin, changed)
        before = self.world.assets.get(key)
        if before is not None and before.scale and changed.scale != before.scale:
            # A scale is the token's for good; all amounts told so far are written with it.
            raise errors.ProjectionError(
                f"event {tuple(origin.event_key)} tells a scale of {changed.scale}, where it was "
                f"{before.scale}"
            )
        number = origin.event_key.block_number
        if changed.block_number != number or changed.updated_at != origin.timestamp:
            changed = replace(changed, block_number=number, updated_at=origin.timestamp)
        self._replace(self.world.assets, key, before, changed)
        self.journal.assets.append((origin.event_key, key, changed))

    def asset_state(self, key: state.AssetKey) -> accrual.AssetState:
        """An asset's state, blank before its first event."""
        return self.world.assets.get(key, BLANK_ASSET)

    def set_v_token(self, origin: Origin, pool: state.PoolKey, asset: int, v_token: int) -> None:
        """Make `v_token` the current vToken of a pool's asset."""
        if self.is_quarantined(pool):
            return
        key = state.AssetKey(pool, asset)
        self.asset(origin, key, replace(self.asset_state(key), v_token=v_token))

    def is_v_token(self, address: int, pool: int, asset: int) -> bool:
        """Whether `address` is known as a vToken of this pool's asset, and as nothing else.

        A factory may be made to name an invented pool, or one that has no CreatePool yet, or
        somebody else's contract; discovery refuses these, and so must the fold.
        """
        expected = discovery.Known(kinds.Kind.VTOKEN_V2, state.v2_pool(pool), asset)
        known = self.registry.get(address)
        return known is not None and known.is_same(expected)

    def takes_name(self, origin: Origin, address: int, expected: discovery.Known) -> bool:
        """Whether an address becomes, or is, what an event names it.

        Not where it is known as something else, or holds positions already: a factory deploys
        what it names, so what has a past of its own was not deployed by one. That is refused.
        """
        known = self.registry.get(address)
        if known is None:
            return False  # Named for a pool that is not ours, or refused before.
        past = "" if known.is_same(expected) else f"is known as a {known.kind}"
        users = itertools.chain(self.world.holders, (key.user for key in self.world.positions))
        if not past and address not in self.world.contracts and address in users:
            self.journal.refused_names.add(address)
            past = "holds positions already"
        if past:
            self.refuse(origin, f"names {address:#x}, which {past}")
        return not past

    def is_deployed_by_factory(self, v_token: int) -> bool:
        """Whether a contract of ours deployed this vToken. V2: its CreateVToken told a name."""
        contract = self.world.contracts.get(v_token)
        if contract is None:
            return False
        return contract.kind is not kinds.Kind.VTOKEN_V2 or contract.name is not None

    def emitter(self, origin: Origin) -> Emitter:
        """The emitter of the current event."""
        return Emitter(origin.emitter, origin.known, self.registry)

    def refuse(self, origin: Origin, reason: str) -> None:
        """Record that the current event contradicts the state and is ignored."""
        self.journal.refused.append((origin.event_key, reason))

    def pair(self, origin: Origin, key: state.PairKey, **changes: Any) -> None:
        """Change a pair's configuration or totals."""
        before = self.world.pairs.get(key)
        changed = replace(
            before or state.PairState(created_at=origin.timestamp),
            block_number=origin.event_key.block_number,
            updated_at=origin.timestamp,
            **changes,
        )
        self._replace(self.world.pairs, key, before, changed)
        self.journal.pairs.append((origin.event_key, key, changed))

    def known_position(self, key: state.PositionKey) -> state.PositionState | None:
        """A position's state; None before its first event.

        LookupError for a position that was not loaded: a fault of the event's handler, which does
        not name it among those that it touches.
        """
        position = self.world.positions.get(key)
        if position is None and self.world.loaded is not None and key not in self.world.loaded:
            raise LookupError(
                f"a position of {key.user:#x} is read that the event's handler does not name"
            )
        return position

    def position(self, key: state.PositionKey) -> state.PositionState:
        """A position's state; blank, of the right kind, before its first event."""
        position = self.known_position(key)
        if position is not None:
            return position
        if key.v_token:
            return state.PositionState("system" if key.user in NOBODIES else "earn")
        return state.PositionState("system" if self.is_systems(key.user) else "borrow")

    def is_systems(self, user: int) -> bool:
        """Whether a position's holder is the protocol itself, by what was named up to here.

        That is what a factory or extension deployed, what is ours from the start, and nobody.
        """
        if user in NOBODIES or self.is_deployed_by_factory(user):
            return True
        known = self.registry.get(user)
        return known is not None and known.named_at is None and user not in self.world.contracts

    def put_position(
        self, origin: Origin, key: state.PositionKey, changed: state.PositionState
    ) -> None:
        """Replace a position's state."""
        changed = replace(
            changed,
            created_at=changed.created_at or origin.timestamp,
            last_updated=origin.timestamp,
            last_event_block=origin.event_key.block_number,
        )
        self._replace(self.world.positions, key, self.world.positions.get(key), changed)
        self.journal.positions.append((origin.event_key, key, changed))

    def transaction(
        self, origin: Origin, leg: int, key: state.PositionKey, type_: str, asset: int, amount: int
    ) -> None:
        """Note one effect on a position; a zero amount is no effect."""
        self.transaction_at(origin.event_key, leg, key, type_, asset, amount)

    def transaction_at(
        self,
        event_key: state.EventKey,
        leg: int,
        key: state.PositionKey,
        type_: str,
        asset: int,
        amount: int,
    ) -> None:
        """Note one effect on a position at the time of an earlier event."""
        if amount:
            self.journal.transactions.append(
                state.TransactionEffect(event_key, leg, key, type_, asset, amount)
            )


def _is_v2(pool: state.PoolKey) -> bool:
    return pool.address == pool.id


def change_position(
    ledger: Ledger,
    origin: Origin,
    key: state.PositionKey,
    shares: int,
    nominal: int,
    emptied: str = "closed",
) -> None:
    """Add to a position's shares and nominal debt; with nothing left its status is `emptied`.

    ProjectionError where more is taken than is there.
    """
    before = ledger.position(key)
    left, owed = before.collateral_shares + shares, before.nominal_debt + nominal
    if left < 0 or owed < 0:
        raise errors.ProjectionError(
            f"event {tuple(origin.event_key)} takes more from a position of {key.user:#x} than it "
            f"holds: {left} shares, {owed} nominal debt would remain; the log is incomplete"
        )
    if left >= storage.SHARES_LIMIT or owed >= storage.NOMINAL_LIMIT:
        raise errors.ProjectionError(
            f"event {tuple(origin.event_key)} gives a position of {key.user:#x} more "
            "than a pool can store"
        )
    status = "active" if left or owed else emptied
    ledger.put_position(
        origin, key, replace(before, collateral_shares=left, nominal_debt=owed, status=status)
    )


def change_pair(
    ledger: Ledger, origin: Origin, key: state.PositionKey, shares: int, nominal: int
) -> None:
    """Add to the totals of a position's pair."""
    pair = state.PairKey(key.pool, key.collateral, key.debt)
    pair_state = ledger.world.pairs.get(pair) or state.PairState()
    ledger.pair(
        origin,
        pair,
        total_collateral_shares=pair_state.total_collateral_shares + shares,
        total_nominal_debt=pair_state.total_nominal_debt + nominal,
    )


class Emitter(NamedTuple):
    """Who emitted an event, and who is known beside: what says which positions it touches."""

    address: int
    known: discovery.Known
    registry: discovery.Registry


def display_name(felts: Sequence[int] | None) -> str | None:
    """A name that a view answered, cleaned for display; None for none."""
    return (text.clean(text.string_of(list(felts))) or None) if felts else None


def name_v_token(ledger: Ledger, origin: Origin, v_token: int) -> None:
    """Take up a V1 vToken under its own name and symbol, which no event tells."""
    ledger.contract(
        origin,
        v_token,
        name=display_name(ledger.ask(origin, v_token, "name", is_name=True)),
        symbol=display_name(ledger.ask(origin, v_token, "symbol", is_name=True)),
    )
