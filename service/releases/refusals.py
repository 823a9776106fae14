"""Why a change was not made, as whoever asked for it is told."""

from collections.abc import Iterator
from contextlib import contextmanager

from thimble.service.engine.artifact import ArtifactError
from thimble.service.errors import RETRY_SECONDS, RequestError, UnavailableError
from thimble.service.releases.release import ReleaseError
from thimble.service.releases.repository import StoreError, TakenError
from thimble.service.telemetry import metrics


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Whatever goes wrong with a change of a model is counted, and becomes a RequestError."""
    try:
        yield
    except RequestError:  # there is no such model, or it was superseded, or it is in force but not everywhere
        raise
    except Exception as error:
        metrics.changed(name, "refused")
        raise _refusal(error) from None


def sentence_of(error: Exception) -> str:
    """What went wrong. Errors that nobody made for people to read are named by their kind."""
    match error:
        case ArtifactError() | ReleaseError() | StoreError() | UnavailableError():
            return str(error)
        case RequestError():
            return error.message
        case _:
            return f"{type(error).__name__}: {error}"


def _refusal(error: Exception) -> RequestError:
    match error:
        case ArtifactError():
            status = 400
        case ReleaseError() | TakenError():
            status = 409
        case StoreError():
            status = 507
        case _:  # nothing is wrong with what was asked for
            return RequestError(503, sentence_of(error), retry_after=RETRY_SECONDS)
    return RequestError(status, str(error))
