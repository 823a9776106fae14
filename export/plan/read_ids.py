"""What is known of the ids that rows read: counted in files, or as generated clicks draw them."""

from collections.abc import Sequence
from typing import NamedTuple

from thimble.export.clicks.field_ids import ids_by_field
from thimble.export.clicks.generate import click_log
from thimble.export.clicks.rows import ClickError, Rows
from thimble.export.plan.id_sample import IdSample
from thimble.export.plan.traffic import Traffic, grouped, together
from thimble.models.bags import Bag
from thimble.models.spec import ModelSpec

_READ_ROWS = 4096


class ReadIds(NamedTuple):
    """There are so many `different` ones, of all fields together, and `once` of them come once, if that is known.

    Of files all of them come. Of a preset they are all that can come, and so many rows may not read each.
    A value that is missing is an id like any other, but in a bag.
    """

    traffic: Traffic
    different: int
    once: int | None
    rows: int


def counted_ids(rows: Rows, bags: Sequence[Bag | None]) -> ReadIds:
    """Those of rows, which are read once. ClickError: no row is usable."""
    samples = [IdSample() for _ in bags]
    read = 0
    for clicks in rows.first(len(rows)).read(_READ_ROWS):
        read += len(clicks.labels)
        for sample, of_field in zip(samples, ids_by_field(clicks.batch.ids, bags), strict=True):
            sample.add(of_field)
    if not read:
        raise ClickError(f"{rows.source.description}: no usable row to plan for")
    traffic = together([sample.traffic(read) for sample in samples])
    return ReadIds(traffic, round(traffic.total_ids), round(sum(sample.once() for sample in samples)), read)


def known_ids(spec: ModelSpec, rows: int) -> ReadIds:
    """Those of so many generated clicks of a preset; there are as many ids as its full tables have rows."""
    traffic = together([grouped(*of_field) for of_field in click_log(spec, seed=0).rates()])
    return ReadIds(traffic, sum(field.rows for field in spec.fields), None, rows)
