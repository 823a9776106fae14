"""What the body of the lookup's function has more where fields have bags: standard ONNX operators, as text.

It looks up the id in every slot, as if each slot were a field, puts what changes no sum and no maximum in the place of
0, which in a bag is no id, and pools the slots of each field. So it makes rows of all slots, which the native operator
never does.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from thimble.models.bags import Bag, Pooling

# inputs that have something for each field, along their second dimension
_OF_FIELDS = ("constants", "directory")

_SLOTS = """
    no_id = Constant <value = {no_ids}> ()
    neutral = Constant <value = {neutral}> ()
    nowhere_id = Equal (ids, no_id)
    absent = Unsqueeze (nowhere_id, last)
    pooled_slots = Where (absent, neutral, looked_up)
    sizes = Constant <value_ints = {sizes}> ()
    {slots} = Split <axis = 1> (pooled_slots, sizes)
    present = Not (absent)
    counted = Cast <to = 1> (present)
    {counts} = Split <axis = 1> (counted, sizes)
    least_count = Constant <value_float = 1.0> ()
    of_none = Constant <value_float = 0.0> ()
"""
# of part {n} of the slots, [batch, values, dim] -> [batch, 1, dim]
_POOL: dict[Pooling, str] = {
    "sum": """
    pooled_{n} = ReduceSum (slots_{n}, one)
""",
    "mean": """
    total_{n} = ReduceSum (slots_{n}, one)
    count_{n} = ReduceSum (counts_{n}, one)
    divisor_{n} = Max (count_{n}, least_count)
    pooled_{n} = Div (total_{n}, divisor_{n})
""",
    "max": """
    largest_{n} = ReduceMax (slots_{n}, one)
    any_{n} = ReduceMax (counts_{n}, one)
    is_any_{n} = Cast <to = 9> (any_{n})
    pooled_{n} = Where (is_any_{n}, largest_{n}, of_none)
""",
}


def each_slot(bags: Sequence[Bag | None], inputs: Sequence[str]) -> tuple[list[str], str]:
    """The function's inputs, those of fields renamed, and nodes that make of these what the body takes for slots."""
    fields = [field for field, bag in enumerate(bags) for _ in range(bag.values if bag else 1)]
    nodes = "".join(f"    {name} = Gather <axis = 1> (field_{name}, field)\n" for name in inputs if name in _OF_FIELDS)
    renamed = [f"field_{name}" if name in _OF_FIELDS else name for name in inputs]
    return renamed, f"\n    field = Constant <value = {_tensor('int64', [len(fields)], fields)}> ()\n{nodes}"


def pooled(bags: Sequence[Bag | None]) -> str:
    """Nodes that make `embeddings` [batch, fields, dim] of `looked_up` [batch, slots, dim]."""
    slots = [bag for bag in bags for _ in range(bag.values if bag else 1)]
    parts = [*_parts(bags)]
    nodes = _SLOTS.format(
        # no id is negative: there is one in each slot of a single-valued field
        no_ids=_tensor("int64", [len(slots)], (0 if bag else -1 for bag in slots)),
        neutral=_tensor("float", [len(slots), 1], map(_neutral, slots)),
        sizes=[size for _, size in parts],
        slots=", ".join(f"slots_{n}" for n in range(len(parts))),
        counts=", ".join(f"counts_{n}" for n in range(len(parts))),
    )
    nodes += "".join(_POOL[bag.pooling].format(n=n) for n, (bag, _) in enumerate(parts) if bag)
    joined = ", ".join(f"{'pooled' if bag else 'slots'}_{n}" for n, (bag, _) in enumerate(parts))
    return f"{nodes}\n    embeddings = Concat <axis = 1> ({joined})\n"


def _parts(bags: Sequence[Bag | None]) -> Iterator[tuple[Bag | None, int]]:
    """Each bag with its slots, and each run of single-valued fields as one part."""
    for in_bag, run in groupby(bags, key=bool):
        of_run = [*run]
        if in_bag:
            yield from ((bag, bag.values) for bag in of_run if bag)
        else:
            yield None, len(of_run)


def _neutral(bag: Bag | None) -> float:
    return float("-inf") if bag and bag.pooling == "max" else 0.0


def _tensor(dtype: str, shape: Sequence[int], values: Iterable[float]) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}] {{{', '.join(map(str, values))}}}"
