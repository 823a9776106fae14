"""What cannot be done with a model of several answers yet."""

from thimble.export.training.errors import RunError
from thimble.models.heads import Heads


def check_several(heads: Heads, *, platt: bool = False, negatives_kept: float = 1, taught: bool = False) -> None:
    """RunError: an option is for models of one answer, or not for these.

    A log that kept a share of its negatives kept all rows whose first label is 1. What is given that label, directly or
    by what is given it, has its odds within these rows, which sampling leaves alone. Of any other answer nothing is
    known: rows with that label are among those that were left out.
    """
    if not heads:
        return
    if platt:
        raise RunError("--platt scales the scores of one answer; leave it out, or name one --label")
    if taught:
        raise RunError("--teacher teaches one answer; leave it out, or name one --label")
    free = [head.name for head in heads[1:] if head.given is None]
    if negatives_kept < 1 and free:
        first = heads[0].name
        raise RunError(
            f"--negatives-kept is the share of the rows without {first!r}, which says nothing of {free[0]!r}; "
            f"leave it out, or have --label {first},{free[0]}:{first} if that comes only with {first!r}"
        )
