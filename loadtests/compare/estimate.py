"""About how long the parts of a comparison take, seconds: so it can say what is left of it."""

from thimble.loadtests.results.comparison import Settings

WRITING = 10.0
STARTING = 4.0
RELEASING = 6.0
TRIES = 10
"""Rates in a search for the knee."""
RATES = 5
PAUSE = 0.2
"""Between two rates."""


def searching(settings: Settings) -> float:
    """For the knee of one deployment."""
    return STARTING + TRIES * (settings.seconds + PAUSE)


def offering(settings: Settings) -> float:
    """All rates to one deployment."""
    return STARTING + RATES * (settings.seconds + PAUSE)


def whole(settings: Settings, local: int, replicas: int) -> float:
    """A comparison of two deployments, of which `local` are started for it, at the end `replicas` in all of each."""
    of_local = STARTING + settings.rounds * (STARTING + RELEASING) + replicas * STARTING
    sizes = 2 * WRITING + 4 * STARTING if settings.tables else 0
    return local * of_local + 2 * settings.rounds * (searching(settings) + offering(settings)) + sizes
