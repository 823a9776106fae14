"""How many ids rows have that were sent, where that is not the number of fields."""

from typing import Any

from thimble.loadtests.traffic.requests import Traffic


def ids_a_row(served: dict[str, Any], traffic: Traffic) -> str | None:
    """In words, of what a server says of its model; None for a model without bags."""
    fields = [feature for feature in served.get("features", ()) if feature["kind"] != "number"]
    ids = sum(feature["bag"]["values"] if "bag" in feature else 1 for feature in fields)
    if ids == len(fields):
        return None
    return f"{'' if traffic.bags == 'full' else 'up to '}{ids} ids a row in {len(fields)} fields"
