"""What a label may be, and the columns of labels. Trainer and server share this, so both take the same lines."""

from thimble.models.conversions import FROM_TEXT, exact_number

_CLICKED: dict[object, float] = {"0": 0.0, "1": 1.0, 0: 0.0, 1: 1.0}  # 1.0, True and Decimal(1) are 1 to a dict


def clicked(value: object) -> float | None:
    """1 or 0 of a value, text or typed, that is exactly that; None of any other, a missing one included."""
    try:
        return _CLICKED[value]
    except (KeyError, TypeError):  # a TypeError is for lists, which no dictionary can look up
        return _CLICKED.get(exact_number(FROM_TEXT["number"].plain(value))) if isinstance(value, str) else None


LabelColumns = str | tuple[str, ...]
"""The column of the label, or of several answers one for each, in the order of the heads."""


def label_columns(label: LabelColumns) -> tuple[str, ...]:
    """One or more."""
    return (label,) if isinstance(label, str) else label
