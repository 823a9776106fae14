"""The HTTP/1.1 load client of all serving benchmarks: closed loop, or open loop at a given rate.

It sends prebuilt bytes over keep-alive connections and reads no more of an answer than its status and its body, so that
one core of client outruns any server here on another. Run it pinned to a core that the server does not use. Why it is
not Locust: docs/adr/0008-load-client.md.
"""

from testing.load.answers import parse
from testing.load.loops import Address, closed_loop, open_loop
from testing.load.run import BROKEN, Request, Run

__all__ = ["BROKEN", "Address", "Request", "Run", "closed_loop", "open_loop", "parse"]
