"""A final block is believed from its second answer, and given up after many lower ones."""

from __future__ import annotations

from indexer.daemon import finality


def test_one_answer_is_not_believed() -> None:
    told = finality.Finality(3)
    answers = [60, 61, 119, 61, 62, 63]
    assert [told.believed(one, 120) for one in answers] == [None, 60, 61, 61, 61, 62]


def test_a_final_block_above_the_head_is_no_answer() -> None:
    told = finality.Finality(3)
    assert [told.believed(one, 120) for one in (60, 121, 122, 61, 61)] == [
        None,
        None,
        None,
        None,
        61,
    ]


def test_what_was_believed_wrongly_is_given_up_after_many_looks() -> None:
    told = finality.Finality(3)
    stored = 119
    for answer in (60, 61, 61):
        told.believed(answer, 120)
        assert told.lowered(stored) is None
    told.believed(60, 120)
    assert told.lowered(stored) == 61


def test_a_node_that_tells_it_again_begins_the_count_anew() -> None:
    told = finality.Finality(2)
    stored = 119
    for answer in (60, 60, 119, 60, 60, None):
        told.believed(answer, 120)
        assert told.lowered(stored) is None
    told.believed(60, 120)
    assert told.lowered(stored) == 60
