"""Between the fold's questions and the log's observations: numbers there, text here."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.log import observations
from indexer.projections import rows
from indexer.vesu import state


def of(view: observations.View) -> state.Question:
    """The question that a view of the log answers."""
    return state.Question(
        view.block_number,
        int(view.contract, 16),
        view.view,
        tuple(int(felt, 16) for felt in view.calldata),
    )


def felts(seen: observations.Observation) -> tuple[int, ...] | None:
    """The answer; None where the contract refused."""
    return None if seen.result is None else tuple(int(felt, 16) for felt in seen.result)


def asked(question: state.Question, hashes: Mapping[int, str]) -> observations.View:
    """The view that answers a question, at the hash of its block."""
    return observations.View(
        question.block_number,
        hashes[question.block_number],
        rows.padded(question.contract),
        question.view,
        tuple(map(hex, question.calldata)),
    )
