"""Ports of the loopback interface."""

import socket


def free_port() -> int:
    """One that nobody listens on, for a process that is about to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
