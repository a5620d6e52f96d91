"""Reports the daemon's state to systemd: sd_notify(3) over its datagram socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, MutableMapping

import structlog

log = structlog.get_logger(__name__)

STATUS_SECONDS = 5.0
"""How often the status line is renewed where no watchdog asks for more."""

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends states to the service manager; without one it does nothing."""

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Takes systemd's variables out of `environ`: our own children must not speak for us."""
        address, micros, pid = (environ.pop(name, "") for name in VARIABLES)
        is_ours = micros.isdecimal() and pid in ("", str(os.getpid()))
        # An address that begins with @ is in Linux' abstract namespace.
        address = "\0" + address[1:] if address.startswith("@") else address
        return cls(address or None, int(micros) / 1_000_000 if is_ours and int(micros) else None)

    def tell(self, **states: str) -> None:
        """Send states such as READY="1". A manager that does not listen stops nothing."""
        if self._address is None:
            return
        message = "\n".join(f"{name}={' '.join(text.split())}" for name, text in states.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.settimeout(0)
                line.connect(self._address)
                line.send(message.encode())
        except OSError as error:
            log.warning("systemd_not_told", reason=error.strerror)

    @contextlib.asynccontextmanager
    async def telling(
        self, alive_at: Callable[[], float], status: Callable[[], str], stopping: asyncio.Event
    ) -> AsyncIterator[None]:
        """READY at the beginning, STOPPING once `stopping` is set or at the end; in between the
        status, and WATCHDOG as long as `alive_at` (monotonic clock) is younger than the limit.
        """
        self.tell(READY="1", STATUS=status())
        task = asyncio.create_task(self._keep_telling(alive_at, status, stopping))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.tell(STOPPING="1", STATUS="stopping")

    async def _keep_telling(
        self, alive_at: Callable[[], float], status: Callable[[], str], stopping: asyncio.Event
    ) -> None:
        limit = self.watchdog_seconds
        every = STATUS_SECONDS if limit is None else min(limit / 3, STATUS_SECONDS)
        while not stopping.is_set():
            states = {"STATUS": status()}
            if limit is not None and time.monotonic() - alive_at() < limit:
                states["WATCHDOG"] = "1"
            self.tell(**states)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every)
        self.tell(STOPPING="1", STATUS="ending the batch in hand")
