"""The engine: folds batches of the log into all tables, and takes them back to a block.

It owns the memory of the projections. Everything it writes goes through the connection it is
given, inside the caller's transaction; after a failed transaction the caller loads it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import asyncpg
import msgspec

from indexer.cairo import felt252, view_call
from indexer.chain import types
from indexer.log import facts, observations
from indexer.projections import (
    batch_state,
    decoding,
    encoded_rows,
    listed_pools,
    memory,
    revaluation,
    rollback,
    summaries,
    tokens,
    valuations,
    writing,
)
from indexer.store import statement_pipeline, turns
from indexer.vesu import decoders, discovery, fold, kinds, ledgers, state

MAX_AGE_SECONDS = 86_400
"""How old a valuation at the head may be, where nothing else is configured."""


class Prepared(msgspec.Struct):
    """A batch, decoded and folded; `needs` are views that must be answered before it is true.

    `before` is the world that the batch begins from, with the positions that it touches, and
    `world` the one after it. `encoded` are its rows, None while views are needed.
    `needless` were answered on the way there, but the fold that knew
    all the rest did not ask for them. They stay out of the log, which must not show where a
    batch began.
    """

    batch: facts.Batch
    decoded: list[decoding.Decoded]
    needs: list[view_call.ViewCall]
    before: state.World
    world: state.World
    journal: state.Journal
    needless: frozenset[view_call.ViewCall] = frozenset()
    encoded: encoded_rows.EncodedRows | None = None

    @property
    def derived(self) -> list[facts.Derived]:
        """What decoding says of each event, in the batch's order."""
        return [decoded.derived for decoded in self.decoded]


class Engine:
    """Projects batches; one engine per writer."""

    def __init__(
        self,
        contracts: Iterable[tuple[int, discovery.Known]],
        extra_layouts: decoders.ExtraLayouts | None = None,
        max_age_seconds: int = MAX_AGE_SECONDS,
        abi_digest: str = "",
    ) -> None:
        known = dict(contracts)
        roots = sorted((address, contract.kind.value) for address, contract in known.items())
        self.knowledge = hashlib.sha256(repr((roots, abi_digest)).encode()).hexdigest()
        """Changes with the contracts it begins from, and with the ABIs after this release."""
        self._memory = memory.Memory(known)
        self._revaluation = revaluation.Revaluation(max_age_seconds)
        self._decoder = decoding.Decoder(extra_layouts)
        self._answers: dict[view_call.ViewCall, tuple[int, ...] | None] = {}
        self._unanswered: set[view_call.ViewCall] = set()
        self._missing: set[view_call.ViewCall] = set()

    async def load(self, connection: memory.Connection) -> None:
        """Load the state from the tables; everything loaded before is dropped."""
        self._answers.clear()
        self._unanswered.clear()
        self._decoder.forget()
        self._revaluation.forget()
        await self._memory.load(connection)

    async def read_list(self, connection: memory.Connection) -> None:
        """Load the list of pools that the database holds now."""
        self._memory.listed = await listed_pools.read(connection)

    def leave_unvalued(self) -> None:
        """From now on write active positions unvalued; `value` values those that matter."""
        self._memory.is_valued = False

    def addresses(self) -> frozenset[int]:
        """Every address whose events belong to the log."""
        return self._memory.registry.addresses()

    def discover(self, emitted: Sequence[types.EmittedEvent]) -> list[view_call.ViewCall]:
        """Take up the contracts that these events name; returns the views that name others."""
        naming = self._decoder.discover(emitted, self._memory.registry, self._memory.world)
        return [view for view in naming if view not in self._answers]

    def observe(self, seen: Iterable[observations.Observation]) -> None:
        """Add the answers of views that were called, now or when the log was written.

        They are taken up in the order of their calls, however they come: where two answers name
        one contract, the first decides what it is.
        """
        seen = sorted(seen, key=lambda observation: observation.call)
        self._memory.tokens = tokens.read(seen, self._memory.tokens)
        for observation in seen:
            self._answers[observation.call] = observation.result
            if observation.error == observations.UNANSWERED:
                self._unanswered.add(observation.call)
            self._learn_v_token(observation.call)

    def _learn_v_token(self, call: view_call.ViewCall) -> None:
        felts = self._answers[call]
        if call.view == "v_token_for_collateral_asset" and felts and felts[0]:
            singleton = self._memory.registry.singleton(kinds.Kind.SINGLETON_V1_0)
            pool_id, asset = call.calldata
            pool = state.PoolKey(singleton or 0, pool_id)
            self._memory.registry.learn_v_token(felts[0], pool, asset, call.block_number)

    async def prepare(
        self,
        connection: memory.Connection,
        batch: facts.Batch,
        loaded: Callable[[], None] | None = None,
    ) -> Prepared:
        """Decode and fold a batch; the result names the views that the fold still needs.

        It begins from the batch that `advance` took last, which may still be being written:
        `connection` need not see that one's rows. The prepared batch leaves out what contracts
        emitted before the block that names them, and what emitters of refused names did: so the
        log is the same for every cut. `loaded` is called once nothing more is read.
        """
        self._missing.clear()
        self.discover(batch.events)
        batch = _members_only(batch, self._memory.registry)
        decoded = await self._decoder.decode(batch.events, self._memory.registry)
        before = await batch_state.before(
            connection, self._memory, batch.from_block, self._touched(decoded)
        )
        if loaded is not None:
            loaded()
        return await self._encoded(await self._fold(batch, decoded, before))

    async def refold(self, prepared: Prepared) -> Prepared:
        """Fold a prepared batch again, now that more views are answered; no fold reads tokens'."""
        if prepared.journal.missing:
            prepared = await self._fold(prepared.batch, prepared.decoded, prepared.before)
        else:
            prepared.needs = decoding.token_views(prepared.decoded, self._memory.tokens)
        return await self._encoded(prepared)

    async def _encoded(self, prepared: Prepared) -> Prepared:
        """The batch with its rows encoded, once nothing has to be asked for it any more."""
        if not prepared.needs:
            memory_ = self._memory.snapshot()
            memory_.world = prepared.world
            batch = prepared.batch
            block = revaluation.block_of(batch.timestamps, batch.to_block)
            prepared.encoded = await encoded_rows.encode(memory_, batch, prepared.journal, block)
        return prepared

    async def prepare_logged(
        self,
        connection: memory.Connection,
        batch: facts.Batch,
        seen: Iterable[observations.Observation],
        loaded: Callable[[], None] | None = None,
    ) -> Prepared:
        """Decode and fold a batch of the log with the answers that it holds.

        MissingObservationError where one is not there.
        """
        self.observe(seen)
        for view in self.discover(batch.events):
            raise observations.missing(view)
        prepared = await self.prepare(connection, batch, loaded)
        for view in prepared.needs:
            raise observations.missing(view)
        return prepared

    def advance(self, prepared: Prepared) -> memory.Memory:
        """Let the next batch begin after this one; returns the memory that this one is written by.

        The batch must be written before another one is, or the engine be loaded again.
        """
        self._memory.world = prepared.world
        return self._memory.snapshot()

    async def project(
        self,
        connection: memory.Connection,
        prepared: Prepared,
        memory_: memory.Memory,
        scope: revaluation.Scope = "touched",
        append_events: statement_pipeline.Step | None = None,
    ) -> summaries.Summary:
        """Write a prepared batch to all tables; `scope` says which rows are valued.

        `memory_` is what `advance` returned for it. `append_events` adds its events to the log.
        """
        summaries.report_refused(prepared.journal)
        summaries.report_quarantined(prepared.journal)
        batch = prepared.batch
        block = revaluation.block_of(batch.timestamps, batch.to_block)
        assert block is not None or append_events is None, "a range of the chain has a tip"
        assert prepared.encoded is not None, "all that the fold needs was answered"
        written: dict[str, bool] = {}
        if block is not None:
            await memory_.read_classes(connection)
            others = await memory_.take_up_samples(connection, block.number)
            valuer = memory_.valuer(block)
            await writing.write(
                connection,
                memory_,
                batch,
                prepared.journal,
                prepared.encoded,
                valuer,
                append_events,
            )
            await writing.write_prices(connection, memory_, others)
            valued = await self._revaluation.run(connection, memory_, block, scope)
            written = {
                "vesu_assets": bool(others),
                "vesu_positions": bool(valued),
            }
        self._forget_answers(batch.to_block)
        return summaries.of_batch(
            prepared.decoded,
            prepared.journal,
            written,
            memory_.quarantined_pools(),
            self._revaluation.active,
        )

    def _forget_answers(self, to_block: int) -> None:
        self._answers = {
            question: felts
            for question, felts in self._answers.items()
            if question.block_number > to_block
        }
        self._unanswered.intersection_update(self._answers)

    async def has_to_revalue(self, connection: memory.Connection) -> bool:
        """Whether samples were stored since rows were valued."""
        return await self._memory.samples.are_others(connection)

    async def revalue(self, connection: memory.Connection, block: valuations.Block) -> int:
        """Value rows with the newest samples at the committed block; returns the number written."""
        others = await self._memory.take_up_samples(connection, block.number)
        await writing.write_prices(connection, self._memory, others)
        return await self._revaluation.run(connection, self._memory, block, "head")

    async def value(
        self,
        connection: memory.Connection,
        block: valuations.Block,
        found: Sequence[asyncpg.Record],
    ) -> None:
        """Value positions at the committed block, read with their ctid and state."""
        await self._memory.take_up_samples(connection, block.number)
        memory_ = self._memory.snapshot()
        memory_.is_valued = True
        await revaluation.write(connection, memory_.valuer(block), found)

    def _touched(self, decoded: Iterable[decoding.Decoded]) -> frozenset[state.PositionKey]:
        """The positions that these events concern."""
        registry = self._memory.registry
        emitters = {
            address: ledgers.Emitter(address, known, registry)
            for address in {event.emitter for event in decoded}
            if (known := registry.get(address))
        }
        return frozenset(
            key
            for event in decoded
            if event.event is not None and (emitter := emitters.get(event.emitter))
            for key in fold.touched_positions(emitter, event.event)
        )

    async def _fold(
        self, batch: facts.Batch, decoded: list[decoding.Decoded], before: state.World
    ) -> Prepared:
        """Fold a batch until neither a view nor a settled amount changes the outcome.

        ```
        world before the batch (`before`), answers known so far
               │ copy
               ▼
        ┌─► fold events in chain order ──► journal ─────────────────────┐
        │                                                               │
        │   transfers that told no amount were settled by a later       │
        │◄─ event, no view is wanted: fold again, `transfer_amounts` ◄──┤
        │                                                               ▼
        │                                     views wanted, or nothing new: Prepared
        │                                                               │
        └── refold(), once the caller has asked for `needs` ◄───────────┘
        ```

        Each round starts from the same world, so the last one alone decides. `consulted` are the
        views that some round read; what was asked for and never read is `needless`, and stays out
        of the log.
        """
        transfer_amounts: dict[state.EventKey, state.TransferAmounts] = {}
        consulted: set[view_call.ViewCall] = set()
        while True:
            world = before.copy()
            folding = fold.Fold(
                world, self._memory.registry, self._answers, transfer_amounts, self._unanswered
            )
            await self._apply(batch, decoded, folding)
            consulted |= folding.journal.consulted
            if folding.journal.missing or not folding.settled:
                break
            transfer_amounts |= folding.settled
        if folding.journal.refused_names and not folding.journal.missing:
            for address in folding.journal.refused_names:
                self._memory.registry.refuse(address)
            batch = _members_only(batch, self._memory.registry)
            decoded = [event for event in decoded if self._memory.registry.get(event.emitter)]
        needs = [*decoding.token_views(decoded, self._memory.tokens), *folding.journal.missing]
        self._missing.update(folding.journal.missing)
        needless = frozenset(self._missing - consulted)
        return Prepared(batch, decoded, needs, before, world, folding.journal, needless)

    async def _apply(
        self, batch: facts.Batch, decoded: Sequence[decoding.Decoded], folding: fold.Fold
    ) -> None:
        async for part in turns.of(decoded):
            for decoded_event in part:
                raw = decoded_event.raw
                if decoded_event.event is not None:
                    event_key = state.EventKey(
                        raw.block_number, raw.transaction_index, raw.event_index
                    )
                    time = batch.timestamps[raw.block_number]
                    folding.apply(event_key, time, decoded_event.emitter, decoded_event.event)
        folding.finish()

    async def rollback(self, connection: memory.Connection, block: valuations.Block) -> int:
        """Restore all tables to their state at a block; returns the number of rows restored.

        What was valued above it is valued at it.
        """
        restored = await rollback.rollback(connection, self._memory, block)
        await self._memory.take_up_samples(connection, block.number)
        await self._revaluation.below(connection, self._memory, block)
        return restored


def _members_only(batch: facts.Batch, registry: discovery.Registry) -> facts.Batch:
    """The batch with the events of contracts that are ours in their block."""
    kept = [
        event
        for event in batch.events
        if (known := registry.get(felt252.integer(event.from_address)))
        and known.is_in_log(event.block_number)
    ]
    if len(kept) == len(batch.events):
        return batch
    senders = {(event.block_number, event.transaction_index) for event in kept}
    fees = {key: fee for key, fee in batch.fees.items() if key in senders}
    return msgspec.structs.replace(batch, events=kept, fees=fees)
