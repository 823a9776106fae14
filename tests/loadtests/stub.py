"""A server whose delays, stalls and answers are known: python -m tests.loadtests.stub --delay-ms 50 --stall-ms 200.

Every request is answered `delay-ms` after it came. Every second all answers stop for `stall-ms`: what would be answered
then is answered at the end of that. `--cycle` says what the answers are like, one after the other.
"""

import argparse
import asyncio
import itertools
from collections.abc import Iterator

import orjson
import uvloop

from thimble.loadtests.stub import Connection, ok, serve
from thimble.loadtests.traffic.served import MODELS, golden_path

SCORE = 0.25
FEATURES = [{"name": "age", "kind": "number"}, {"name": "shop", "kind": "string"}]


def refused(status: int) -> bytes:
    return b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n" % status


def scores(*values: float) -> bytes:
    return ok(orjson.dumps({"model": "stub", "version": 1, "scores": values}))


ANSWERS = {
    "right": scores(SCORE),
    "full": refused(429),
    "draining": refused(503),
    "late": refused(504),
    "broken": refused(500),
    "two": scores(SCORE, SCORE),
    "above": scores(1.5),
    "garbage": ok(b"<html>"),
    "wrong": scores(SCORE + 0.1),
}


def pages() -> dict[str, bytes]:
    golden = {"features": {"age": [3], "shop": ["a"]}, "scores": [SCORE]}
    model = {"name": "stub", "version": 1, "part": "live", "precision": "fp32", "features": FEATURES}
    before = {**model, "version": 2, "part": "standby"}  # a release keeps one for the way back
    return {MODELS: ok(orjson.dumps([model, before])), golden_path("stub"): ok(orjson.dumps(golden))}


class Slow(Connection):
    def __init__(self, cycle: Iterator[bytes], delay: float, stall: float) -> None:
        known = pages()
        super().__init__(lambda path, _: known.get(path) or next(cycle))
        self._delay = delay
        self._stall = stall

    def answer(self, answer: bytes) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + self._delay
        if at % 1 < self._stall:
            at += self._stall - at % 1
        loop.call_at(at, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--stall-ms", type=float, default=0)
    parser.add_argument("--cycle", default="right")
    options = parser.parse_args()
    cycle = itertools.cycle([ANSWERS[name] for name in options.cycle.split(",")])
    uvloop.run(serve(lambda: Slow(cycle, options.delay_ms / 1e3, options.stall_ms / 1e3)))


if __name__ == "__main__":
    main()
