"""What a comparison says in words, each sentence made from its numbers."""

from collections.abc import Iterator
from typing import NamedTuple

from thimble.loadtests.report import numbers
from thimble.loadtests.report.figures import Figure, figures, model_memory
from thimble.loadtests.results.comparison import NAMES, Comparison
from thimble.loadtests.results.ids import ids_a_row
from thimble.loadtests.results.run import NEAR_CEILING, near

# A file of which so much is still in memory is not cold.
COLD_SHARE = 0.02
BUSY = 0.5
HEADLINES = (
    *("bytes", "model memory", "resident", "first answers, cold", "first answer, cold", "start, cold"),
    *("p50", "p99", "knee", "cpu"),
)


class Headline(NamedTuple):
    """`kind` is b or a where one of them wins, none where the rounds do not tell."""

    ratio: str
    title: str
    values: str
    spread: str
    verdict: str
    kind: str


def headlines(found: Comparison) -> list[Headline]:
    known = {figure.key: figure for figure in figures(found)}
    return [_headline(known[key]) for key in HEADLINES if key in known]


def ids(found: Comparison) -> str | None:
    """How many ids the rows had, where that is not the number of fields."""
    served = next((side.served for side in found.sides.values() if side.served), {})
    return ids_a_row(served, found.settings.traffic)


def _headline(figure: Figure) -> Headline:
    if figure.goal is not None:
        found = f"at least {numbers.times(figure.goal)}: {'reached' if figure.reached else 'NOT reached'}"
    else:
        found = "" if figure.winner == "B" else verdict(figure)
    values = f"A {figure.form(figure.median('A'))}, B {figure.form(figure.median('B'))}"
    kind = (figure.winner or "none").lower()
    return Headline(numbers.times(figure.ratio), figure.title, values, spread(figure), found, kind)


def spread(figure: Figure) -> str:
    """Of the ratio, over the rounds."""
    if len(figure.ratios) == 1:
        return ""
    low, high = figure.spread
    return f"{numbers.times(low)} to {numbers.times(high)} over {len(figure.ratios)} rounds"


def verdict(figure: Figure) -> str:
    """Who is better, and by how much."""
    if figure.winner is None:
        return "no difference that the rounds can tell"
    ratio = figure.ratio if figure.winner == "B" else 1 / figure.ratio
    return f"{figure.winner} is {numbers.times(ratio)} better"


def not_won(found: Comparison) -> list[str]:
    """Where B is not better than A, and why that is no surprise."""
    lost = [figure for figure in figures(found) if figure.winner != "B"]
    sentences = [_not_won(figure) for figure in lost]
    cpu = next((figure for figure in figures(found) if figure.key == "cpu"), None)
    if found.settings.tables and cpu:
        share = cpu.median("B") / cpu.median("A") - 1
        sentences.append(
            f"Both models have the same MLPs to compute: with the tables in memory, B takes {abs(share):.0%} "
            f"{'less' if share < 0 else 'more'} processor time for a row. What it saves is memory, bytes and start-up."
        )
    return sentences


def _not_won(figure: Figure) -> str:
    a, b = figure.form(figure.median("A")), figure.form(figure.median("B"))
    title = figure.title[0].upper() + figure.title[1:]
    if figure.winner == "A":
        return f"{title}: A is better, {a} against {b} ({spread(figure) or numbers.times(figure.ratio)})."
    return f"{title}: {a} and {b}, no difference that the rounds can tell ({spread(figure) or 'one round'})."


def caveats(found: Comparison) -> list[str]:
    """What a reader has to know of how the numbers came about."""
    return list(_caveats(found))


def _caveats(found: Comparison) -> Iterator[str]:
    if found.settings.tables:
        yield (
            "Both models are untrained: what serving costs does not depend on what weights say. None of this is about "
            "quality."
        )
    cores = found.machine.cores
    yield f"Servers and load generator shared one machine with {cores} core{'s' * (cores > 1)}."
    if found.busy > BUSY:
        yield (
            f"Other work kept about {numbers.number(found.busy)} processes busy when it began (load average): times "
            "are longer and spreads wider than on a quiet machine."
        )
    yield from _cold(found)
    yield from _memory(found)
    yield from _load(found)


def _cold(found: Comparison) -> Iterator[str]:
    for name in NAMES:
        kept = [s.cached for turn in found.turns(name) if (s := turn.startup(cold=True)) and s.cached > COLD_SHARE]
        if kept:
            yield (
                f"The page cache could not be emptied of {name}'s files, of which up to {max(kept):.0%} were still in "
                "memory: its cold starts are warmer than cold."
            )


def _memory(found: Comparison) -> Iterator[str]:
    for name in NAMES:
        if any((model_memory(found, turn) or 1) <= 0 for turn in found.turns(name)):
            yield f"A server of {name} held no more than one without a model, so its model's memory cannot be told."
        side, one = found.sides.get(name), next(iter(found.replicas.get(name, [])), None)
        if side and side.size and one and one.memory.mapped > side.size / 10:
            memory = one.memory
            yield (
                f"Of the {numbers.size(memory.proportional)} that one server of {name} holds, "
                f"{numbers.size(memory.mapped)} are pages of its files, {min(memory.mapped / side.size, 1):.0%} "
                "of them. Replicas on one machine share these pages, and the kernel may drop them when memory is "
                "short: then lookups wait for the disk."
            )
    if found.tables and found.tables > found.machine.memory_bytes:
        yield "The full tables are larger than this machine's memory, so they were never hot in it."


def _load(found: Comparison) -> Iterator[str]:
    marked = sorted({s.offered for n in NAMES for turn in found.turns(n) for s in turn.steps if near(s, found.ceiling)})
    if marked:
        rates = ", ".join(map(numbers.number, marked))
        yield (
            f"GENERATOR-BOUND: at {rates} requests/s more than {NEAR_CEILING:.0%} was offered of the "
            f"{numbers.number(found.ceiling or 0)} requests/s that the generator reaches here, so these may measure it."
        )
    for name in NAMES:
        knees = [turn.knee for turn in found.turns(name) if turn.knee]
        if found.ceiling and knees and max(knees) > NEAR_CEILING * found.ceiling:
            yield f"GENERATOR-BOUND: the knee of {name} is near what the generator reaches, so it may be higher."
        steps = [step for turn in found.turns(name) for step in turn.steps]
        refused, failed = sum(sum(step.rejected.values()) for step in steps), sum(step.failures for step in steps)
        if refused or failed:
            worst = max(steps, key=lambda step: step.failures).worst
            why = f" ({worst})" if worst else ""
            due = sum(step.due for step in steps)
            yield f"Of {name}'s {due:,} requests {refused} were refused and {failed} failed{why}."
