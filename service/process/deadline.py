"""An end that comes for certain."""

import faulthandler
import os

# To say why in: standard error may be a pipe that nobody reads, and what waits for it would not end.
_NOWHERE = os.open(os.devnull, os.O_WRONLY)


def end_within(seconds: float) -> None:
    """End this process with status 1 if it has not ended after so many seconds, whatever it hangs in.

    The last call counts. faulthandler's thread needs neither the interpreter nor its lock. No process may be forked
    from then on: that thread would not be in it, but be waited for.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_NOWHERE)
