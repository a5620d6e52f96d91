"""The tree that is drawn at the top of errors.py is the tree of its classes."""

from __future__ import annotations

import inspect
import re

from indexer import errors


def drawn() -> dict[str, str]:
    """Each class in the drawing and the class that it hangs below."""
    parents: dict[str, str] = {}
    branch: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}((?:[│ ] {3})*(?:[├└]── )?)(\w+Error)\b", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        branch[depth] = found[2]
        if depth:
            parents[found[2]] = branch[depth - 1]
    return parents


def defined() -> dict[str, str]:
    """Each class of the module and its base."""
    return {
        name: made.__bases__[0].__name__
        for name, made in inspect.getmembers(errors, inspect.isclass)
        if made.__module__ == errors.__name__ and made is not errors.IndexerError
    }


def test_the_drawing_is_the_tree_of_classes() -> None:
    assert drawn() == defined()


def test_the_drawing_has_siblings_in_the_order_of_their_definition() -> None:
    found = re.findall(r"── (\w+Error)\b", errors.__doc__ or "")
    written = re.findall(r"^class (\w+)\(", inspect.getsource(errors), re.MULTILINE)
    assert [name for name in written if name in found] == written[1:]


def test_a_docstring_is_the_message_where_none_is_given() -> None:
    assert str(errors.NothingCommittedError()).startswith("No block is committed yet")
    assert errors.QuestionError("x", parameter="pool").parameter == "pool"
