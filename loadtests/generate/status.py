"""Says how far a run is, on standard error, where it is in nobody's way who reads the results."""

import math
import sys
from time import perf_counter

from thimble.loadtests.generate.shapes import Offer
from thimble.loadtests.results.summary import duration

TERMINAL_SECONDS, LINE_SECONDS = 1.0, 10.0
CLEAR = "\r\033[K"


class Status:
    """On a terminal one line that changes every second; elsewhere a line for each step and every ten seconds."""

    def __init__(self, aim: str = "", at_least: bool = False) -> None:
        """`aim` is what the shape looks for, `at_least` whether what is found decides how long that takes."""
        self._aim = f", {aim}" if aim else ""
        self._at_least = "at least " * at_least
        self._terminal = sys.stderr.isatty()
        self._begun = perf_counter()
        self._told = -math.inf

    def step(self, offer: Offer) -> None:
        """What is offered next."""
        self._offer = offer
        self._step_begun: float | None = None
        self._told = -math.inf

    def tell(self) -> None:
        """That it is being offered, if it is time to say so again."""
        now = perf_counter()
        self._step_begun = self._step_begun or now
        if now - self._told < (TERMINAL_SECONDS if self._terminal else LINE_SECONDS):
            return
        self._told = now
        offer = self._offer
        left = max(offer.seconds - (now - self._step_begun), 0) + offer.after
        text = (
            f"{duration(now - self._begun)} gone, {self._at_least}{duration(left)} left: "
            f"{offer.rate:.4g} requests/s for {duration(offer.seconds)}{self._aim}"
        )
        start, end = (CLEAR, "") if self._terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Before anything else is printed."""
        if self._terminal:
            print(CLEAR, end="", file=sys.stderr, flush=True)
