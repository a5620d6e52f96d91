"""Every way in which a node or the way to it breaks or changes, over a real socket: the outcome,
the line of the log and the metric. docs/failure-modes.md is the same in words.

Faults that pass happen a few times: the tables equal those of an undisturbed run. Those that
last never end: with one endpoint nothing is committed, with a second one that one is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from indexer import errors, urls
from indexer.chain import client, transport
from tests.integration import daemon_stage
from tests.integration.daemon_stage import LAST, Playhead, following, recording, serving
from tests.integration.faults import Failing, Fault, refuse, skipping

# --- the way ----------------------------------------------------------------------------------

LAVA = b'{"error":"This endpoint has been discontinued."}'

BROKEN: dict[str, tuple[str, Fault]] = {
    "500": ("http_5xx", Fault(status=500, body=b"<html>")),
    "502": ("http_5xx", Fault(status=502, body=b"<html>")),
    "504": ("http_5xx", Fault(status=504)),
    "200 with an internal error": ("internal", Fault(edit=refuse(-32603, "internal"))),
    "200 with a text for an error": ("not_json_rpc", Fault(status=200, body=LAVA)),
    "200 with a page of HTML": ("not_json_rpc", Fault(status=200, body=b"<html>soon</html>")),
    "200 with nothing": ("not_json_rpc", Fault(status=200, body=b"")),
    "200 with broken UTF-8": ("not_json_rpc", Fault(status=200, body=b'{"jsonrpc":"\xff')),
    "200 with half a JSON": ("not_json_rpc", Fault(status=200, body=b'{"jsonrpc":"2.0","res')),
    "a body cut short": ("unreachable", Fault(close_after=40)),
    "a connection cut before the answer": ("unreachable", Fault(close_after=0)),
    "an answer left out of a batch": ("mismatched", Fault(drop=True)),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_trouble_of_the_way_is_asked_again(url: str, undisturbed: str, name: str) -> None:
    kind, fault = BROKEN[name]
    failing = Failing("getEvents", fault, times=2)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=failing) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        assert running.said("node_trouble", kind=kind, outcome="retry") is not None, running.logged
        assert daemon_stage.count(node.url, kind, "retry") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_half_open_connection_is_given_up_and_asked_again(
    url: str, undisturbed: str
) -> None:
    """The question is taken and never answered."""
    silent = Failing("getEvents", Fault(delay=60))
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=silent) as node,
        following(
            url, node.url, until_block=LAST, node={"request_timeout_seconds": 1.0}
        ) as running,
    ):
        assert await running.ended() is None
        assert running.said("node_trouble", kind="timeout", outcome="retry") is not None
        assert daemon_stage.count(node.url, "timeout", "retry") == 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


TOO_LARGE: dict[str, Fault] = {
    "408": Fault(status=408, body=b"Request took too long"),
    "413": Fault(status=413),
    "200 with a range too wide": Fault(edit=refuse(-32602, "block range too large")),
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_too_much_is_asked_in_smaller_ranges(url: str, undisturbed: str, name: str) -> None:
    def fault(method: str, params: Any) -> Fault | None:
        if method != "starknet_getEvents":
            return None
        asked = params["filter"]
        size = asked["to_block"]["block_number"] - asked["from_block"]["block_number"] + 1
        return TOO_LARGE[name] if size > 20 else None

    async with (
        serving(Playhead.at_block(recording(), LAST), fault=fault) as node,
        following(url, node.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind="too_large", outcome="smaller_range")
        assert line is not None
        assert daemon_stage.count(node.url, "too_large", "smaller_range") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_body_beyond_the_limit_is_asked_in_smaller_ranges(
    url: str, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LARGEST_BODY", 120_000)
    async with (
        serving(Playhead.at_block(recording(), LAST)) as node,
        following(url, node.url, until_block=LAST, VESU_INGEST_VERIFY="off") as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind="too_large", outcome="smaller_range")
        assert line is not None
        assert "more than 120000 bytes" in line["reason"]
        assert daemon_stage.count(node.url, "too_large", "smaller_range") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


# --- trouble that lasts -----------------------------------------------------------------------

LASTING: dict[str, tuple[str, Fault]] = {
    "busy": ("busy", Fault(status=429)),
    "down": ("unreachable", Fault(close_after=0)),
    "html": ("not_json_rpc", Fault(status=200, body=b"<html>")),
    "shut": ("refused", Fault(status=403, body=b"gone")),
    "unknown method": ("refused", Fault(edit=refuse(-32601, "method not found"))),
    "empty head": ("lagging", Fault(edit=refuse(32, "there are no blocks"))),
}


@pytest.mark.parametrize("name", LASTING)
async def test_an_endpoint_in_lasting_trouble_is_left_for_the_next(
    url: str, undisturbed: str, name: str
) -> None:
    kind, fault = LASTING[name]
    failing = Failing("getBlockWithTxHashes", fault, -1)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=failing) as first_node,
        serving(Playhead.at_block(recording(), LAST)) as second,
        following(url, first_node.url, second.url, until_block=LAST) as running,
    ):
        assert await running.ended() is None
        line = running.said("node_trouble", kind=kind, outcome="other_endpoint")
        assert line is not None
        assert line["endpoint"] == urls.redact(first_node.url)
        assert daemon_stage.count(first_node.url, kind, "other_endpoint") >= 1
        assert first_node.counts["starknet_getEvents"] == 0
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


@pytest.mark.parametrize("name", LASTING)
async def test_the_only_endpoint_in_lasting_trouble(url: str, name: str) -> None:
    """What may pass is waited for; what repeating cannot change ends the daemon."""
    kind, fault = LASTING[name]
    failing = Failing("getBlockWithTxHashes", fault, -1)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=failing) as node,
        following(url, node.url) as running,
    ):
        outcome = "stop" if kind == "refused" else "wait"
        if outcome == "stop":
            assert isinstance(await running.ended(), errors.FatalNodeError)
            assert running.said("node_trouble", kind=kind, outcome=outcome) is not None
        else:
            await running.says("node_trouble", kind=kind, outcome=outcome)
        assert daemon_stage.count(node.url, kind, outcome) >= 1
        assert await running.ask("SELECT block_hash IS NULL FROM cursor")


async def test_a_node_that_comes_back_is_asked_as_before(url: str, undisturbed: str) -> None:
    """Down for a few looks: who it is is asked again, and batches are not given up for it."""
    down = [True]

    def fault(method: str, _: Any) -> Fault | None:
        return Fault(status=502) if down[0] and head.tip.number == LAST else None

    head = Playhead.at_block(recording(), 10)
    async with serving(head, fault=fault) as node, following(url, node.url) as running:
        await running.committed(10)
        head.go_to(LAST)
        await running.says("node_trouble", kind="http_5xx", outcome="wait")
        down[0] = False
        await running.committed(LAST)
        assert running.node.source.endpoint.batches
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


class Ailing:
    """The fault of every answer for now."""

    fault: Fault | None = None

    def __call__(self, _: str, __: Any) -> Fault | None:
        return self.fault


RETURNING = {"VESU_NODE_RETURN_SECONDS": "0.05"}


async def test_the_preferred_endpoint_is_used_again_once_it_is_well(
    url: str, undisturbed: str
) -> None:
    ailing = Ailing()
    preferred, other = Playhead.at_block(recording(), 10), Playhead.at_block(recording(), 20)
    async with (
        serving(preferred, fault=ailing) as first_node,
        serving(other) as second,
        following(url, first_node.url, second.url, **RETURNING) as running,
    ):
        await running.committed(10)
        ailing.fault = Fault(status=403)
        await running.committed(20)
        await running.says("endpoint_unfit", endpoint=urls.redact(first_node.url))
        preferred.go_to(LAST)
        ailing.fault = None
        await running.says(
            "turned_back", to=urls.redact(first_node.url), of=urls.redact(second.url)
        )
        await running.committed(LAST)
        assert running.node.source.name == urls.redact(first_node.url)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_a_preferred_endpoint_without_our_block_is_not_used_again(url: str) -> None:
    ailing = Ailing()
    async with (
        serving(Playhead.at_block(recording(), 10), fault=ailing) as first_node,
        serving(Playhead.at_block(recording(), 20)) as second,
        following(url, first_node.url, second.url, **RETURNING) as running,
    ):
        await running.committed(10)
        ailing.fault = Fault(status=403)
        await running.committed(20)
        ailing.fault = None
        await running.says(
            "endpoint_unfit",
            endpoint=urls.redact(first_node.url),
            reason="does not hold the committed block 20",
        )
        assert running.said("turned_back") is None
        assert running.node.source.name == urls.redact(second.url)


async def test_a_preferred_endpoint_that_hangs_is_not_waited_for(
    url: str, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BRIEF_SECONDS", 0.1)
    ailing = Ailing()
    head = Playhead.at_block(recording(), 20)
    async with (
        serving(Playhead.at_block(recording(), 10), fault=ailing) as first_node,
        serving(head) as second,
        following(url, first_node.url, second.url, **RETURNING) as running,
    ):
        await running.committed(10)
        ailing.fault = Fault(status=403)
        await running.committed(20)
        ailing.fault = Fault(delay=60)
        await running.says("endpoint_unfit", reason="no answer within 0.1 s")
        head.go_to(LAST)
        await running.committed(LAST)
        assert running.said("turned_back") is None
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_an_endpoint_that_hangs_in_a_range_is_left_for_the_next(
    url: str, undisturbed: str
) -> None:
    """The whole range comes from the second one; the first one's pages are not used."""
    silent = Failing("getEvents", Fault(delay=60), -1)
    async with (
        serving(Playhead.at_block(recording(), LAST), fault=skipping(silent, 1)) as first_node,
        serving(Playhead.at_block(recording(), LAST)) as second,
        following(
            url,
            first_node.url,
            second.url,
            until_block=LAST,
            node={"request_timeout_seconds": 0.5},
        ) as running,
    ):
        assert await running.ended() is None
        assert running.said("node_trouble", kind="timeout", outcome="other_endpoint") is not None
        assert daemon_stage.count(first_node.url, "timeout", "other_endpoint") >= 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


QUESTIONS: dict[str, Callable[[str, Any], bool]] = {
    "who it is": lambda method, _: method == "starknet_chainId",
    "the head": lambda _, params: params == {"block_id": "latest"},
    "finality": lambda _, params: params == {"block_id": "l1_accepted"},
    "the committed block": lambda method, params: (
        method == "starknet_getBlockWithTxHashes" and isinstance(params["block_id"], dict)
    ),
    "receipts": lambda method, _: method == "starknet_getBlockWithReceipts",
}


@pytest.mark.parametrize("status", [403, 503])
@pytest.mark.parametrize("question", QUESTIONS)
async def test_whichever_question_fails_the_next_endpoint_is_asked(
    url: str, undisturbed: str, question: str, status: int
) -> None:
    """The first endpoint fails while the head is followed, beginning with any question."""
    since: list[bool] = []

    def fault(method: str, params: Any) -> Fault | None:
        return Fault(status=status) if since and QUESTIONS[question](method, params) else None

    heads = [Playhead.at_block(recording(), 10) for _ in range(2)]
    async with (
        serving(heads[0], fault=fault) as first_node,
        serving(heads[1]) as second,
        following(url, first_node.url, second.url, VESU_NODE_PROBE_SECONDS="0.05") as running,
    ):
        await running.committed(10)
        since.append(True)
        await asyncio.sleep(0.2)  # some looks at which nothing is new
        for head in heads:
            head.go_to(LAST)
        await running.committed(LAST)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


# --- what changes under way -------------------------------------------------------------------


def becoming(method: str, answer: str, since: list[bool]) -> Callable[[str, Any], Fault | None]:
    """The node answers this to a method from the moment on that `since` holds something."""

    def fault(asked: str, _: Any) -> Fault | None:
        is_it = asked == f"starknet_{method}" and since
        return Fault(edit=lambda _: answer) if is_it else None

    return fault


CHANGES = {
    "chain": ("chainId", "0x1", "wrong_chain", errors.WrongChainError),
    "version": ("specVersion", "0.11.0", "wrong_version", errors.UnsupportedSpecError),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_under_way_ends_the_daemon(url: str, name: str) -> None:
    method, answer, kind, error = CHANGES[name]
    since: list[bool] = []
    head = Playhead.at_block(recording(), 10)
    async with (
        serving(head, fault=becoming(method, answer, since)) as node,
        following(url, node.url, VESU_NODE_PROBE_SECONDS="0.1") as running,
    ):
        await running.committed(10)
        since.append(True)
        assert isinstance(await running.ended(), error)
        assert running.said("node_trouble", kind=kind, outcome="stop") is not None
        assert daemon_stage.count(node.url, kind, "stop") == 1


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("times", [1, 2])
async def test_one_wrong_identity_is_asked_for_again(
    url: str, undisturbed: str, name: str, times: int
) -> None:
    """Of another node behind the same URL, perhaps."""
    method, answer, kind, _ = CHANGES[name]
    failing = Failing(method, Fault(edit=lambda _: answer), 0)
    head = Playhead.at_block(recording(), 10)
    async with (
        serving(head, fault=failing) as node,
        following(url, node.url, VESU_NODE_PROBE_SECONDS="0.1") as running,
    ):
        await running.committed(10)
        failing.left = times
        await running.says("node_trouble", kind=kind, outcome="retry")
        head.go_to(LAST)
        await running.committed(LAST)
        assert daemon_stage.count(node.url, kind, "retry") == times
        assert failing.left == 0
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


@pytest.mark.parametrize("name", CHANGES)
async def test_a_changed_endpoint_is_left_for_the_next(
    url: str, undisturbed: str, name: str
) -> None:
    method, answer, kind, _ = CHANGES[name]
    since: list[bool] = []
    head = Playhead.at_block(recording(), 10)
    async with (
        serving(head, fault=becoming(method, answer, since)) as first_node,
        serving(Playhead.at_block(recording(), LAST)) as second,
        following(url, first_node.url, second.url, VESU_NODE_PROBE_SECONDS="0.1") as running,
    ):
        await running.committed(10)
        since.append(True)
        await running.committed(LAST)
        assert running.said("node_trouble", kind=kind, outcome="other_endpoint") is not None
        assert daemon_stage.count(first_node.url, kind, "other_endpoint") == 1
    assert await daemon_stage.digest_at(url, LAST) == undisturbed


async def test_another_known_version_under_way_is_taken_up(url: str, undisturbed: str) -> None:
    """An upgrade of the node: from then on it is asked as its version wants it."""
    since: list[bool] = []
    head = Playhead.at_block(recording(), 10)
    async with (
        serving(head, fault=becoming("specVersion", "0.10.0", since)) as node,
        following(url, node.url, VESU_NODE_PROBE_SECONDS="0.1") as running,
    ):
        await running.committed(10)
        assert running.node.profile.address_lists
        since.append(True)
        await running.says("node_changed", now="0.10.0")
        assert not running.node.profile.address_lists
        head.go_to(LAST)
        await running.committed(LAST)
    assert await daemon_stage.digest_at(url, LAST) == undisturbed
