"""The socket that the API listens on."""

from __future__ import annotations

import socket
import time

from indexer import errors

BACKLOG = 512

LEAVING_TRIES = 10
LEAVING_SECONDS = 0.1
"""How often, and at which distance in seconds, a port in use is tried again."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; PortInUseError where host and port cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, so that every event loop sends small writes at once on what is accepted.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise errors.PortInUseError(
            f"cannot listen on {host} port {port}: {error.strerror}; set api.host and api.port "
            "to a free address of this machine (--port for the port alone)"
        ) from error
    return listening


def bind_patiently(host: str, port: int) -> socket.socket:
    """The same; the API's process of a killed daemon may need a moment to leave the port."""
    for _ in range(LEAVING_TRIES):
        try:
            return bind(host, port)
        except errors.PortInUseError:
            time.sleep(LEAVING_SECONDS)
    return bind(host, port)
