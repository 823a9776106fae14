"""What a command line says of a model, as a spec."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from thimble.export import console
from thimble.export.clicks.bag_use import BagUse
from thimble.export.clicks.files import FileClicks, list_columns
from thimble.export.clicks.rows import ClickError, Rows
from thimble.export.clicks.survey import survey
from thimble.export.commands.bags import AskedBag, asked_bags
from thimble.export.options import HOT_ROWS, HotRowsFor, hidden_in, names_in, widths_in
from thimble.export.training.ancestry import Parent
from thimble.export.training.full_tables import indexed
from thimble.export.training.hot_rows import promoted, with_hot_rows
from thimble.export.training.keyed import Keyed
from thimble.export.training.schema import OwnModel, preset_spec
from thimble.models.bags import Bag
from thimble.models.heads import Heads
from thimble.models.inputs import Kind
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import ModelSpec, answering
from thimble.models.transforms import TransformKind, learnt


def still_hot(before: Parent, spec: ModelSpec, rows: Rows) -> Keyed:
    """A spec that goes on from another run, its hot rows those of the ids that are hot now."""
    hot = promoted(before, spec, rows)
    console.echo_all(console.hot_rows(hot.spec))
    return hot


@dataclass(frozen=True, kw_only=True)
class AskedModel:
    """The options of a model, as they were given.

    What files say of own columns comes in with `with_bags`: which of them hold `lists`, and what rows have of bags.
    """

    name: str | None = None
    preset: str | None
    dense: str
    ints: str
    hexes: str
    strings: str
    multi: Sequence[str] = ()
    scheme: str = "block"
    memory: int | None = None
    chunk: int | None = None
    memory_precision: MemoryPrecision | None = None
    dense_transform: TransformKind | None = None
    embedding_dim: int
    arch: str | None = None
    dense_arch: str | None = None
    over_arch: str | None = None
    cross_layers: int | None = None
    cross_rank: int | None = None
    seed: int = 0
    hot_rows: HotRowsFor = HOT_ROWS
    lists: frozenset[str] = frozenset()
    bag_use: Mapping[str, BagUse] = field(default_factory=dict)
    heads: Heads = ()

    def __post_init__(self) -> None:
        """ClickError: options that go against each other."""
        if self.preset and (self.numbers or any(self.fields.values())):
            raise ClickError("--preset has columns of its own; give it or --dense, --int, --hex and --string")
        if self.preset and self.dense_transform == "quantiles":
            raise ClickError(
                "--preset has criteo for its numbers; --dense-transform quantiles is for columns of your own"
            )
        self._asked_bags()

    @property
    def numbers(self) -> list[str]:
        """The columns of numbers."""
        return names_in(self.dense)

    @property
    def fields(self) -> dict[Kind, list[str]]:
        """The columns of ids, by their kind."""
        return {"int": names_in(self.ints), "hex": names_in(self.hexes), "string": names_in(self.strings)}

    @property
    def bags(self) -> dict[str, Bag]:
        """Those of own columns. Until rows are read one has a single value, if nobody says how many."""
        return {name: bag.bag(self.bag_use.get(name)) for name, bag in self._asked_bags().items()}

    def with_bags(self, files: Sequence[Path], opened: Callable[[ModelSpec], FileClicks]) -> "AskedModel":
        """As the files to train on have them, of which the first rows are read if there are any bags.

        ClickError: one cannot be read, or values have weights.
        """
        asked = self if self.preset else replace(self, lists=frozenset(list_columns(files)))
        spec = asked.spec()
        return replace(asked, bag_use=opened(spec).bag_use()) if any(spec.bags) else asked

    def spec(self) -> ModelSpec:
        """As far as it is known before any row is read. ClickError: no column. ValueError: a bad value."""
        if self.preset:
            own = self.scheme, self.memory, self.chunk, self.seed, self.memory_precision, self.arch
            return answering(preset_spec(self.preset, self.name, *own), self.heads)
        return answering(self._own().spec(), self.heads)

    def learnt_from(self, rows: Rows) -> Keyed:
        """What rows to train on say of columns is put into the spec; they are read once or twice."""
        spec = self.spec()
        if not self.preset:
            found = survey(rows, spec)
            own = self._own().spec(found.ids, learnt(self.dense_transform or "quantiles", found.numbers))
            spec = answering(own, self.heads)
        if self.scheme != "full" or not spec.fields:
            return self.with_hot_rows(spec, rows)
        typer.echo("full tables: an id that comes at least twice has a row, all others of a column one together")
        return indexed(spec, rows)

    def with_hot_rows(self, spec: ModelSpec, rows: Rows) -> Keyed:
        """The spec with rows for the hottest ids of rows to train on, which are read once more."""
        if self.hot_rows == "none":
            return Keyed(spec)
        hot = with_hot_rows(spec, rows)
        console.echo_all(console.hot_rows(hot.spec) or ["hot rows: none would pay, so all ids share the memory"])
        return hot

    def _asked_bags(self) -> dict[str, AskedBag]:
        fields = [name for names in self.fields.values() for name in names]
        return {name: AskedBag() for name in fields if name in self.lists} | asked_bags(
            self.multi, fields, self.numbers
        )

    def _own(self) -> OwnModel:
        return OwnModel(
            name=self.name or "model",
            dense=self.numbers,
            fields=self.fields,
            bags=self.bags,
            scheme=self.scheme,
            memory=self.memory,
            chunk=self.chunk,
            precision=self.memory_precision,
            embedding_dim=self.embedding_dim,
            arch=self.arch or "dlrm",
            dense_arch=None if self.dense_arch is None else widths_in("--dense-arch", self.dense_arch),
            over_arch=None if self.over_arch is None else hidden_in("--over-arch", self.over_arch),
            cross_layers=self.cross_layers,
            cross_rank=self.cross_rank,
            seed=self.seed,
        )
