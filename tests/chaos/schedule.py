"""What happens to an indexer in one run: a list of moves, drawn by a seeded dice.

The chain is devnet-a from block FIRST to LAST: a main branch (0), and branch 1, which leaves it
after block COMMON and ends at FORK_LAST. The head may go to any of these blocks in any order, so
that forks of every depth happen, in both directions and again and again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

FIRST = 80
LAST = 96
COMMON = 84
FORK_LAST = 91

FETCHES = (
    "starknet_getBlockWithTxHashes",
    "starknet_getEvents",
    "starknet_getBlockWithReceipts",
)
WRITES = (
    "blocks",
    "receipts",
    "events",
    "vesu_assets",
    "asset_versions",
    "vesu_pools",
    "vesu_positions",
    "position_versions",
    "vesu_transactions",
)
TAKEN_BACK = (
    "reorgs",
    "orphaned_events",
    "receipts",
    "blocks",
    "vesu_transactions",
    "vesu_liquidations",
    "contract_history",
    "position_versions",
    "asset_versions",
    "vesu_positions",
    "vesu_pools",
)
OBJECTS = (
    "public.blocks",
    "public.cursor",
    "public.vesu_pools",
    "public.position_versions",
    "public.vesu_transactions",
    "public.idx_vesu_transactions_hash",
    "public.indexer_status",
)
PHASES = (
    "fetch",
    "before",
    "inside",
    "commit",
    "committed",
    "rollback",
    "rollback_commit",
    "anywhere",
    "migration",
)
"""Where the process is when it is killed: waiting for the node; before the first statement of a
transaction; between two statements of it; while the server commits; after the commit, before the
process knows of it; between two statements of a rollback; while the server commits one; at any
moment; between two statements of a migration."""

FAULTS = ("busy", "unavailable", "cut", "truncated", "garbage", "slow", "internal")
OUTAGES = ("cut", "cut_later", "refused", "terminated")
TROUBLES = ("drop", "delay", "freeze", "half_close", "forget")
"""What the way to the database does to its connections: ends one; passes pieces on late, or none
for a while; ends one direction of one; swallows what one carries, for ever."""

LIMITS = {
    "blocks": (1, 2, 3, 5, 8, 30),
    "calls": (1, 2, 3, 7, 15),
    "addresses": (1, 2, 5, 9),
    "events": (50, 100, 200, 500),
    "rate": (6, 12, 25),
}
"""What a gateway before the node may limit (tests/odd_gateway.py), and to what."""


class Move(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happens.

    `kind`: "go" moves the head to `number` of `branch`, and waits for the commit of it if
    `settled`; "lag" moves it there for two looks, and back; "kill" kills the process in the phase
    `what` at `where` (a method or table; `times` hundredths of a second after the head moved)
    on the way to that block; "fault" makes the next
    `times` requests fail as `what` says; "shut" makes the first of two endpoints refuse everything,
    and "open" ends that; "outage" takes the database away as `what` says; "stop" ends the process
    by SIGTERM; "trouble" has the way to the database do what `what` says after `times` more pieces,
    for `number` tenths of a second, or to the `number`-th connection, and "flow" ends that; "limit"
    limits what the gateways pass on to `number` of `what` (0: lifts it), and
    "passing" makes the next `number` requests be refused, both in words drawn by the seed `times`.
    """

    kind: str
    branch: int = 0
    number: int = 0
    what: str = ""
    where: str = ""
    times: int = 0
    settled: bool = True


class Schedule(msgspec.Struct, frozen=True):
    """A whole run. `from_nothing`: from an empty database, not from block FIRST on.

    `endpoints` of one node, all at the same head.
    """

    seed: int
    moves: tuple[Move, ...]
    from_nothing: bool = False
    keep_abandoned: bool = False
    endpoints: int = 1
    is_odd: bool = False
    """Whether there is an odd gateway before each endpoint."""
    is_served: bool = False
    """Whether HTTP is served, and /health and /ready are asked all the time."""

    def text(self) -> str:
        """One line a move."""
        moves = [f"  {msgspec.json.encode(move).decode()}" for move in self.moves]
        about = f"seed {self.seed}, from {'nothing' if self.from_nothing else f'block {FIRST}'}"
        kept = ", abandoned blocks stay known by hash" if self.keep_abandoned else ""
        endpoints = f", {self.endpoints} endpoints" if self.endpoints > 1 else ""
        odd = ", odd gateways" if self.is_odd else ""
        served = ", health is watched" if self.is_served else ""
        return "\n".join([about + kept + endpoints + odd + served, *moves])


class Draw:
    """Draws a schedule; keeps in mind where the head is."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._dice = random.Random(seed)
        self._endpoints = self._dice.randint(1, 2)
        self._is_shut = False
        self._tip = (0, FIRST)
        self._stands = (0, FIRST)
        self._moves: list[Move] = []

    def schedule(self) -> Schedule:
        """The phase of the kill goes round with the seed; everything else is the dice's."""
        phase = PHASES[self.seed % len(PHASES)]
        others = [self._dice.choice(self._others()) for _ in range(self._dice.randint(1, 4))]
        at = 0 if phase == "migration" else self._dice.randint(0, len(others))
        for move in others[:at]:
            move()
        self._kill(phase)
        for move in others[at:]:
            move()
        if self._dice.random() < 0.3:
            self._kill(self._dice.choice(PHASES[:-1]))
        return Schedule(
            self.seed,
            tuple(self._moves),
            from_nothing=phase == "migration",
            keep_abandoned=self._dice.random() < 0.5,
            endpoints=self._endpoints,
        )

    def _others(self) -> list[Callable[[], None]]:
        found = [self._go, self._go, self._go, self._lag, self._fault, self._outage, self._stop]
        return found + [self._shut_or_open] * 2 * (self._endpoints - 1)

    def _add(self, kind: str, **about: object) -> None:
        self._moves.append(msgspec.convert({"kind": kind, **about}, Move))

    def _somewhere(self) -> tuple[int, int]:
        """Any block that is not the head."""
        tips = [(0, number) for number in range(FIRST, LAST + 1)]
        tips += [(1, number) for number in range(COMMON + 1, FORK_LAST + 1)]
        # A head on the first block of another branch may look like one that lags: undecided.
        tips = [tip for tip in tips if tip[1] != COMMON + 1 and tip != self._tip]
        return self._dice.choice(tips)

    def _move_to(self, tip: tuple[int, int], settled: bool | None = None) -> None:
        self._tip = tip
        if not self._holds(tip):
            self._stands = tip
        if settled is None:
            settled = self._dice.random() < 0.7
        self._add("go", branch=tip[0], number=tip[1], settled=settled)

    def _holds(self, tip: tuple[int, int]) -> bool:
        """Whether the tables, once settled, hold this block already: then they stay."""
        is_same = tip[0] == self._stands[0] or tip[1] <= COMMON
        return is_same and tip[1] <= self._stands[1]

    def _go(self) -> None:
        self._move_to(self._somewhere())

    def _lag(self) -> None:
        number = self._tip[1]
        if number - FIRST >= 2:
            self._add("lag", branch=0, number=self._dice.randint(FIRST, min(number - 1, COMMON)))

    def _fault(self) -> None:
        self._add("fault", what=self._dice.choice(FAULTS), times=self._dice.randint(1, 3))

    def _outage(self) -> None:
        what = self._dice.choice(OUTAGES)
        self._add("outage", what=what, times=self._dice.randint(1, 12))
        if what == "cut_later":
            self._go()

    def _shut_or_open(self) -> None:
        """Between two moves of the head, so that there is a process to see it."""
        self._go()
        self._is_shut = not self._is_shut
        self._add("shut" if self._is_shut else "open")
        self._go()

    def _stop(self) -> None:
        self._add("stop")

    # --- kills ----------------------------------------------------------------------------

    def _kill(self, phase: str) -> None:
        if phase == "migration":
            self._add("kill", what=phase, where=self._dice.choice(OBJECTS), number=self._tip[1])
        elif phase.startswith("rollback"):
            self._kill_in_rollback(phase)
        else:
            self._kill_going_on(phase)

    def _kill_going_on(self, phase: str) -> None:
        """On the way up one branch, by at least two blocks."""
        if self._stands[1] > self._last_of(self._stands[0]) - 2:
            other = 1 - self._stands[0]
            self._move_to((other, self._dice.randint(COMMON + 2, FORK_LAST - 2)), settled=True)
        else:
            self._move_to(self._stands, settled=True)
        branch, number = self._stands
        self._stands = self._tip = branch, self._dice.randint(number + 2, self._last_of(branch))
        where = {"fetch": FETCHES, "inside": WRITES}.get(phase, ("",))
        self._add_kill(phase, where)

    def _last_of(self, branch: int) -> int:
        return FORK_LAST if branch else LAST

    def _add_kill(self, phase: str, where: tuple[str, ...]) -> None:
        branch, number = self._tip
        self._add(
            "kill",
            what=phase,
            where=self._dice.choice(where),
            branch=branch,
            number=number,
            times=self._dice.randint(0, 50) if phase == "anywhere" else 0,
        )

    def _kill_in_rollback(self, phase: str) -> None:
        """On the way from one branch to the other."""
        branch = self._dice.randint(0, 1)
        self._move_to((branch, self._dice.randint(COMMON + 2, FORK_LAST)), settled=True)
        other = 1 - branch
        self._stands = self._tip = other, self._dice.randint(COMMON + 2, self._last_of(other))
        self._add_kill(phase, TAKEN_BACK if phase == "rollback" else ("",))


class OddDraw(Draw):
    """Draws a schedule in which gateways change their limits and their words."""

    def schedule(self) -> Schedule:
        """Limits before, between and after the moves of the head, and perhaps a kill."""
        from_nothing = self._dice.random() < 0.5
        for _ in range(self._dice.randint(1, 3)):
            self._limit()
        for _ in range(self._dice.randint(3, 6)):
            self._dice.choice(self._odd())()
        if self._dice.random() < 0.3:
            self._kill(self._dice.choice(("fetch", "anywhere")))
        self._limit()
        self._go()
        return Schedule(
            self.seed,
            tuple(self._moves),
            from_nothing=from_nothing,
            keep_abandoned=self._dice.random() < 0.5,
            endpoints=self._endpoints,
            is_odd=True,
        )

    def _odd(self) -> list[Callable[[], None]]:
        return [self._go] * 3 + [self._limit] * 4 + [self._passing] * 2 + [self._fault, self._lag]

    def _limit(self) -> None:
        what = self._dice.choice(list(LIMITS))
        number = 0 if self._dice.random() < 0.2 else self._dice.choice(LIMITS[what])
        self._add("limit", what=what, number=number, times=self._dice.randint(1, 10**9))

    def _passing(self) -> None:
        times = self._dice.randint(1, 10**9)
        self._add("passing", number=self._dice.randint(1, 4), times=times)
        self._go()


class ProxyDraw(Draw):
    """Draws a schedule in which the way to the database is bad."""

    def schedule(self) -> Schedule:
        """Troubles between and during the moves of the head, an end in the middle of one."""
        from_nothing = self._dice.random() < 0.3
        for _ in range(self._dice.randint(2, 4)):
            self._dice.choice([self._trouble, self._trouble, self._go, self._stop, self._fault])()
        if self._dice.random() < 0.3:
            self._kill("anywhere")
        if self._dice.random() < 0.5:
            self._stop_in_trouble()
        self._trouble()
        return Schedule(
            self.seed,
            tuple(self._moves),
            from_nothing=from_nothing,
            endpoints=self._endpoints,
            is_served=True,
        )

    def _trouble(self) -> None:
        """One that happens on the way of the head to another block."""
        what = self._dice.choice(TROUBLES)
        number, times = self._dice.randint(1, 40), self._dice.randint(0, 60)
        self._add("trouble", what=what, number=number, times=times)
        self._move_to(self._somewhere())

    def _stop_in_trouble(self) -> None:
        """SIGTERM while nothing is passed on, for longer than the end may take."""
        self._add("trouble", what="freeze", number=600, times=self._dice.randint(0, 30))
        self._move_to(self._somewhere(), settled=False)
        self._add("stop")
        self._add("flow")


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    return Draw(seed).schedule()


def draw_odd(seed: int) -> Schedule:
    """The schedule of a seed behind odd gateways."""
    return OddDraw(seed).schedule()


def draw_proxied(seed: int) -> Schedule:
    """The schedule of a seed behind a bad way to the database."""
    return ProxyDraw(seed).schedule()
