"""The fold's questions as views at a block's hash, and back."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.log import observations
from indexer.vesu import state


def of(view: observations.View) -> state.Question:
    """The question that a view of the log answers."""
    return state.Question(view.block_number, view.contract, view.view, view.calldata)


def asked(question: state.Question, hashes: Mapping[int, str]) -> observations.View:
    """The view that answers a question, at the hash of its block."""
    return observations.View(
        question.block_number,
        hashes[question.block_number],
        question.contract,
        question.view,
        question.calldata,
    )
