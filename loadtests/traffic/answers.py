"""Whether an answer is right."""

import numpy as np
import orjson

from thimble.loadtests.traffic.requests import Prepared

# The server is full, draining or out of time, and says so.
REJECTIONS = (429, 503, 504)


def problem(request: Prepared, body: bytes, tolerance: float) -> str | None:
    """What is wrong with the body of an answer of status 200, None if it has the scores that it must have."""
    try:
        scores = _binary_scores(request, body) if request.binary else orjson.loads(body)["scores"]
        if len(scores) != request.rows:
            return "not one score a row"
        low, high = min(scores), max(scores)
        if not all(0 <= score <= 1 for score in scores):
            return "a score outside 0 to 1"
    except (ValueError, KeyError, TypeError):
        return "no scores in the answer"
    if request.expected is not None and max(high - request.expected, request.expected - low) > tolerance:
        return "another score than the known row's"
    return None


def _binary_scores(request: Prepared, body: bytes) -> list[float]:
    """The only output, so the last bytes; the JSON before them says how many there are."""
    json_bytes, size = len(body) - 4 * request.rows, 4 * request.rows
    header = orjson.loads(body[: max(json_bytes, 0)])
    if header["outputs"][0]["parameters"]["binary_data_size"] != size:
        return []
    scores: list[float] = np.frombuffer(body[json_bytes:], "<f4").tolist()
    return scores
