"""Reconcile: our rows against the contracts' own views at a block's hash, as integers.

Tolerance 0. Each view is compared with what the rows say on both sides (see `stored_state`). A
difference that only follows from another one, such as a position's amount in an asset whose
configuration differs, is not listed a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from indexer import errors
from indexer.audit import expected_answers, stored_state, view_answers, view_questions
from indexer.cairo import view_call
from indexer.chain import client
from indexer.projections import listed_pools, rows, tables
from indexer.vesu import state, views

VALUATION = "valuation"
"""The name, in place of a view's, of what a row is worth by the histories at its own block."""

REFUSED = "refused"
MISSING = "missing"

ReportProgress = Callable[[int, int], None]


class Difference(msgspec.Struct, frozen=True):
    """One value that is not the contract's. `version` is None for a current row."""

    table: str
    row_id: str
    column: str
    version: tuple[int, int, int] | None
    view: str
    contract: str
    calldata: tuple[str, ...]
    ours: str
    theirs: str


class Count(msgspec.Struct):
    """How often a view was asked and refused, and its values compared and found different."""

    asked: int = 0
    compared: int = 0
    refused: int = 0
    differences: int = 0


class Reconciliation(msgspec.Struct, frozen=True):
    """A check, true for one block. `rows` counts the stored rows that were compared."""

    block_number: int
    block_hash: str
    committed_block: int
    scope: str
    pool: str | None
    user: str | None
    sample: int | None
    seed: str | None
    is_equal: bool
    rows: int
    asked: int
    compared: int
    refused: int
    seconds: float
    views: dict[str, Count]
    differences: list[Difference]


class Checked(msgspec.Struct, frozen=True):
    """A stored value: its row and column, and the view and contract it was held against."""

    row_version: stored_state.RowVersion
    column: str
    view: str
    contract: str


async def check(
    connection: asyncpg.Connection,
    node: client.StarknetNode,
    number: int | None,
    scope: stored_state.Scope,
    extensions: views.Extensions,
    report: ReportProgress = lambda _done, _total: None,
) -> tuple[Reconciliation, set[Checked]]:
    """Check the rows of a scope at a block (None: the committed one).

    `extensions` are V1's by address. Returns what was found, and every value found equal.
    """
    began = time.monotonic()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        stored, committed = await stored_state.stored_block(connection, number)
        block_number = committed.number if number is None else number
        block = stored or await _block_of_node(node, block_number, committed)
        found = await stored_state.read(connection, block, scope, committed.number)
        listed = await listed_pools.read(connection)
    comparing = Comparing(found, extensions)
    view_questions_ = view_questions.Questions(found, extensions).all()
    await _ask(node, comparing, view_questions_, listed, report)
    return comparing.result(time.monotonic() - began), comparing.equal


async def _block_of_node(
    node: client.StarknetNode, number: int, committed: stored_state.Block
) -> stored_state.Block:
    """A block that is not stored, as the node has it, if it stands below our committed one."""
    committed_header = await node.header(committed.number)
    if committed_header is None or rows.padded(int(committed_header.hash, 16)) != committed.hash:
        raise errors.InconsistentAnswerError(
            f"the node does not have our committed block {committed.number} {committed.hash}: "
            "it lags or follows another branch; nothing was compared"
        )
    header = await node.header(number)
    if header is None:
        raise errors.InconsistentAnswerError(f"the node does not know block {number}")
    return stored_state.Block(number, rows.padded(int(header.hash, 16)), header.timestamp)


async def _ask(
    node: client.StarknetNode,
    comparing: Comparing,
    first: Sequence[view_questions.ViewQuestion],
    listed: listed_pools.Listed,
    report: ReportProgress,
) -> None:
    holdings = sum(question.call.view == views.BALANCE.name for question in first)
    total, done = len(first) + holdings, 0
    report(0, total)
    pending: Sequence[view_questions.ViewQuestion] = first
    while pending:
        for start in range(0, len(pending), view_answers.AT_ONCE):
            part = pending[start : start + view_answers.AT_ONCE]
            answers = await view_answers.ask(node, part, comparing.stored.block, listed)
            for view_question, answer in zip(part, answers, strict=True):
                if answer is not None:
                    comparing.take(view_question, answer)
            done += len(part)
            report(done, total)
        pending = view_questions.worths(comparing.stored.block.number, comparing.take_balances())


class Comparing:
    """Takes answers one by one, in the order of the questions, and keeps what differs."""

    def __init__(self, found: stored_state.StoredState, extensions: views.Extensions) -> None:
        self.stored = found
        self._extensions = extensions
        self.equal: set[Checked] = set()
        self._differences: list[Difference] = []
        self._views: dict[str, Count] = {}
        self._rows: set[stored_state.RowVersion] = set()
        self._wrong: set[tuple[int, Any]] = set()
        self._prices: dict[state.AssetKey, int] = {}
        self._balances: list[tuple[state.PositionKey, int]] = []
        self._compare_keys()
        self._compare_valuations()

    def take_balances(self) -> list[tuple[state.PositionKey, int]]:
        """The balances that vTokens told since the last time."""
        taken, self._balances = self._balances, []
        return taken

    def take(
        self, view_question: view_questions.ViewQuestion, answer: Sequence[int] | errors.RpcError
    ) -> None:
        """Compare an answer with all sides."""
        count = self._views.setdefault(view_question.call.view, Count())
        count.asked += 1
        answered = _read(view_question.call.view, answer)
        if answered is None:
            count.refused += 1
            self._refused(view_question)
            return
        self._remember(view_question, answered)
        for index, side in enumerate(self.stored.sides):
            self._compare(
                index, view_question, answered, self._expected(side, view_question, answered)
            )

    def result(self, seconds: float) -> Reconciliation:
        """The result of all comparisons."""
        scope, counts = self.stored.scope, self._views.values()
        return Reconciliation(
            self.stored.block.number,
            self.stored.block.hash,
            self.stored.committed,
            scope.name,
            rows.padded_or_none(scope.pool),
            rows.padded_or_none(scope.user),
            scope.sample,
            scope.seed if scope.sample is not None else None,
            not self._differences,
            len(self._rows),
            sum(count.asked for count in counts),
            sum(count.compared for count in counts),
            sum(count.refused for count in counts),
            round(seconds, 3),
            dict(sorted(self._views.items())),
            self._differences,
        )

    def _compare_keys(self) -> None:
        """Every row is on both sides, under the id of its key."""
        for row_version in self.stored.missing:
            self._add(row_version, "id", _NO_CALL, MISSING, row_version.row_id)
        misnamed = {row_version for side in self.stored.sides for row_version, _ in side.misnamed}
        for side in self.stored.sides:
            for row_version, expected in side.misnamed:
                self._add(row_version, "id", _NO_CALL, row_version.row_id, expected)
            for other in self.stored.sides:
                for key in other.versions.keys() - side.versions.keys():
                    row_version = stored_state.RowVersion(
                        side.tables[_kind(key)], other.versions[key].row_id
                    )
                    if not any(row_version[:2] == wrong[:2] for wrong in misnamed):
                        self._add(row_version, "id", _NO_CALL, MISSING, row_version.row_id)

    def _compare_valuations(self) -> None:
        """Every current row of the scope is worth what it says, at the block that it names."""
        checked = self.stored.valuations
        count = self._views[VALUATION] = Count()
        count.compared = checked.rows * len(tables.POSITIONS.valuation)
        for valuation in checked.wrong:
            row_version = stored_state.RowVersion(tables.POSITIONS.name, valuation.id)
            call = view_call.ViewCall(
                valuation.block_number, 0, VALUATION, (valuation.block_number,)
            )
            for column, (stored, computed) in valuation.columns.items():
                count.differences += 1
                self._add(row_version, column, call, str(stored), str(computed))
        for row_id in checked.right:
            row_version = stored_state.RowVersion(tables.POSITIONS.name, row_id)
            for column in tables.POSITIONS.valuation:
                self.equal.add(Checked(row_version, column, VALUATION, rows.padded(0)))

    # --- one answer -----------------------------------------------------------------------

    def _remember(
        self, view_question: view_questions.ViewQuestion, answered: Mapping[str, int]
    ) -> None:
        if view_question.call.view == views.PRICE.name:
            self._prices[view_question.key] = answered["price"]
        if view_question.call.view == views.BALANCE.name:
            self._balances.append((view_question.key, answered["vtoken_balance_raw"]))

    def _expected(
        self,
        side: stored_state.Side,
        view_question: view_questions.ViewQuestion,
        answered: Mapping[str, int],
    ) -> expected_answers.Values:
        view, key = view_question.call.view, view_question.key
        if view == views.WORTH.name:
            low, high = view_question.call.calldata
            return expected_answers.worth(
                side, view_question, low + (high << 128), self.stored.block
            )
        if "is_collateralized" in answered:
            markets = view_questions.markets_of(key, view_question.market or key.pool)
            prices = {
                asset_key.asset: self._prices[asset_key]
                for asset_key in markets
                if asset_key in self._prices
            }
            if len(prices) < len(set(markets)):
                return {}  # Without a price there is nothing to say.
            return expected_answers.collateralization(
                side, view_question, prices, self.stored.block
            )
        return expected_answers.BY_VIEW[view](side, view_question, self.stored.block)

    def _compare(
        self,
        index: int,
        view_question: view_questions.ViewQuestion,
        answered: Mapping[str, int],
        expected: expected_answers.Values,
    ) -> None:
        side, count = self.stored.sides[index], self._views[view_question.call.view]
        row_version = side.versions.get(view_question.key)
        if expected is None or row_version is None:
            return  # A row that one side lacks is listed as missing.
        self._rows.add(row_version)
        for column, value in answered.items():
            if column not in expected:
                continue
            count.compared += 1
            if expected[column] == value:
                self.equal.add(_checked(row_version, column, view_question.call))
            elif not self._follows(index, view_question, column):
                count.differences += 1
                self._wrong.add((index, view_question.key))
                self._add(
                    row_version, column, view_question.call, str(expected[column]), str(value)
                )

    def _follows(self, index: int, view_question: view_questions.ViewQuestion, column: str) -> bool:
        """Whether a difference follows from one that is listed already."""
        view, key = view_question.call.view, view_question.key
        if view == views.SUPPLY.name:
            return any(
                side == index and isinstance(wrong, state.PositionKey) and wrong.v_token == key
                for side, wrong in self._wrong
            )
        if not isinstance(key, state.PositionKey) or column in _OWN:
            return False
        market = view_question.market or key.pool
        causes = [key, *view_questions.markets_of(key, market)]
        if "collateralization" in view:
            causes.append(state.PairKey(market, key.collateral, key.debt))
        return any((index, cause) in self._wrong for cause in causes)

    def _refused(self, view_question: view_questions.ViewQuestion) -> None:
        """A refusal is a difference where the contract, as we know it, has to answer."""
        if view_question.call.view in views.PRICED:
            return
        for index, side in enumerate(self.stored.sides):
            row_version = side.versions.get(view_question.key)
            if row_version is None or self._may_refuse(side, view_question):
                continue
            self._views[view_question.call.view].differences += 1
            self._wrong.add((index, view_question.key))
            column = views.BY_NAME[view_question.call.view].result[0][0]
            self._add(row_version, column, view_question.call, "an answer", REFUSED)

    def _may_refuse(
        self, side: stored_state.Side, view_question: view_questions.ViewQuestion
    ) -> bool:
        """A contract that was upgraded in place may answer otherwise than its kind does.

        A V1 pool whose extension is a stranger is about to migrate, and its views revert.
        """
        key = view_question.key
        pool = view_question.market or (key if isinstance(key, int | state.PoolKey) else key.pool)
        if isinstance(pool, int):
            contract = side.world.contracts.get(pool)
            pool = (contract.pool if contract else None) or state.v2_pool(pool)
        if pool in side.world.pools:
            return views.contracts_of(side.world, pool, self._extensions).settings is None
        upgraded = side.world.contracts.get(pool.address)
        return upgraded is not None and upgraded.class_hash is not None

    def _add(
        self,
        row_version: stored_state.RowVersion,
        column: str,
        call: view_call.ViewCall,
        stored: str,
        answered: str,
    ) -> None:
        self._differences.append(
            Difference(
                row_version.table,
                row_version.row_id,
                column,
                row_version.version,
                call.view,
                rows.padded(call.contract),
                tuple(map(hex, call.calldata)),
                stored,
                answered,
            )
        )


_NO_CALL = view_call.ViewCall(0, 0, "")

_OWN = frozenset({"collateral_shares", "nominal_debt", "vtoken_balance_raw"})
"""The columns of a position that no market changes."""


def _checked(
    row_version: stored_state.RowVersion, column: str, call: view_call.ViewCall
) -> Checked:
    return Checked(row_version, column, call.view, rows.padded(call.contract))


def _kind(key: Any) -> str:
    kinds = {state.PositionKey: "positions", state.AssetKey: "assets", state.PairKey: "pairs"}
    return kinds.get(type(key), "contracts")


def _read(view: str, answer: Sequence[int] | errors.RpcError) -> dict[str, int] | None:
    """The answer's values; None where the contract refused, or is not of the class we know."""
    if isinstance(answer, errors.RpcError):
        return None
    try:
        return views.read(view, answer)
    except ValueError:
        return None
