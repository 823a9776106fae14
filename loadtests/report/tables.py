"""The tables of a report: text in rows."""

from collections.abc import Iterator
from typing import NamedTuple

from thimble.loadtests.report import numbers, projection
from thimble.loadtests.report.figures import cpu_per_million, figures
from thimble.loadtests.report.words import spread, verdict
from thimble.loadtests.results.comparison import NAMES, Comparison, Name, ProcessMemory
from thimble.loadtests.results.run import Step, joined, near

GIGABIT = 1e9 / 8
GB = 1e9
PERCENTILES = ("p50", "p90", "p99", "p99_9")


class Table(NamedTuple):
    """`note` says how the numbers came about. Columns but the first hold numbers."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


def tables(found: Comparison) -> list[Table]:
    """Those that have rows."""
    drawn = (_figures, _latency, _memory, _start_up, _releases, _capacity, _projections)
    return [table for table in (draw(found) for draw in drawn) if table.rows]


def _figures(found: Comparison) -> Table:
    rows = [
        [
            figure.title,
            figure.form(figure.median("A")),
            figure.form(figure.median("B")),
            numbers.times(figure.ratio),
            spread(figure),
            verdict(figure),
        ]
        for figure in figures(found)
    ]
    note = (
        "Medians over the rounds, and their ratio. The spread is that of the ratios round by round, in each of which "
        "both felt what else the machine did."
    )
    return Table("All figures", note, ["", "A", "B", "ratio", "spread", "verdict"], rows)


def _latency(found: Comparison) -> Table:
    rows = []
    for index, rate in enumerate(found.rates):
        for name in NAMES:
            same = [turn.steps[index] for turn in found.turns(name) if len(turn.steps) > index]
            if same:
                rows.append([numbers.number(rate), name, *_step(joined(same), found.ceiling)])
    note = "Milliseconds from when a request was due to its right answer, all rounds together."
    head = ["requests/s", "", "p50", "p90", "p99", "p99.9", "achieved/s", "rows/s", ""]
    return Table("Latency against load", note, head, rows)


def _step(step: Step, ceiling: float | None) -> list[str]:
    times = [numbers.number(getattr(step.latency, p)) if step.latency else "" for p in PERCENTILES]
    notes = [f"{count} refused with {status}" for status, count in sorted(step.rejected.items())]
    notes += [f"{count} failed: {reason}" for reason, count in sorted(step.failed.items())]
    notes += ["generator-bound"] * near(step, ceiling)
    return [*times, numbers.number(step.achieved), numbers.number(step.rows_per_second), "; ".join(notes)]


def _memory(found: Comparison) -> Table:
    rows = [["a server without a model", *_weights(found.empty)]] if found.empty else []
    for name in NAMES:
        measured = found.replicas.get(name, [])
        rows += [[f"{name}, {replicas.replicas}", *_weights(replicas.memory)] for replicas in measured]
    note = (
        "After each replica has scored the same rows. Proportional: a page that several processes map counts once; it "
        "is the processes' own (anonymous) and pages of files. Unique: pages that no other process maps, so "
        "libraries are in it or not as others on the machine use them. Page cache: "
        "what of the model's files is in memory, mapped or not."
    )
    head = ["replicas", "proportional", "anonymous", "files", "of the model", "unique", "resident", "page cache"]
    return Table("Memory", note, head, rows)


def _weights(memory: ProcessMemory) -> list[str]:
    found = (memory.proportional, memory.anonymous, memory.file, memory.mapped, memory.unique, memory.resident)
    return [*map(numbers.size, found), numbers.size(memory.cached)]


def _start_up(found: Comparison) -> Table:
    rows = []
    for number, turns in enumerate(found.rounds, 1):
        for cold in (True, False):
            for name in sorted(turns):
                if startup := turns[name].startup(cold=cold):
                    times = (startup.ready, startup.first, startup.rows)
                    state = "cold" if cold else "warm"
                    rows.append([f"{number}, {name}, {state}", f"{startup.cached:.0%}", *map(numbers.seconds, times)])
    note = "Since the process was started. The second column is how much of the files was in memory before (mincore)."
    return Table("Start-up", note, ["round", "in memory", "ready", "first answer", "2,048 rows answered"], rows)


def _releases(found: Comparison) -> Table:
    rows = []
    for name in NAMES:
        swaps = [turn.swap for turn in found.turns(name) if turn.swap]
        side = found.sides.get(name)
        if side and side.size and swaps:
            pushed = [swap.pushed for swap in swaps if swap.pushed is not None]
            released = sorted(swap.released for swap in swaps)
            rows.append(
                [
                    name,
                    numbers.size(side.size),
                    str(len(side.files)),
                    numbers.seconds(side.size / GIGABIT),
                    numbers.seconds(swaps[0].copied),
                    numbers.seconds(sorted(pushed)[len(pushed) // 2]) if pushed else "more than one file",
                    numbers.seconds(released[len(released) // 2]),
                ]
            )
    note = (
        "Over 1 Gbit/s: arithmetic, not measured. Copied: onto this disk. Pushed: PUT over HTTP on this machine, "
        "verified there. Made live: the call for a version that is in the repository, verified in a process of its "
        "own, while the server answers."
    )
    head = ["", "bytes", "files", "over 1 Gbit/s", "copied", "pushed", "made live"]
    return Table("A new version", note, head, rows)


def _capacity(found: Comparison) -> Table:
    settings = found.settings
    rows = []
    for name in NAMES:
        memory = projection.by_replicas(found.replicas.get(name, []))
        costs = [cost for turn in found.turns(name) if (cost := cpu_per_million(turn))]
        cpu = sorted(costs)[len(costs) // 2] if costs else None
        if memory or cpu:
            rows.append(
                [
                    name,
                    f"{projection.fit(memory, settings.memory_gb * GB):,}" if memory else "",
                    numbers.size(memory.start) if memory else "",
                    numbers.size(memory.slope) if memory else "",
                    numbers.seconds(cpu) if cpu else "",
                    numbers.number(cpu / 3600 * settings.price) if cpu else "",
                ]
            )
    note = (
        f"Replicas in {settings.memory_gb:g} GB of one machine: a projection, the straight line through 1, 2 and 4. "
        f"Cost: processor time alone, at {settings.price:g} for a core and an hour."
    )
    head = [
        "",
        f"replicas in {settings.memory_gb:g} GB",
        "shared",
        "each",
        "CPU s per million rows",
        "cost of a million",
    ]
    return Table("What fits, and what it costs", note, head, rows)


def _projections(found: Comparison) -> Table:
    rows = []
    for key, quantity in projection.QUANTITIES.items():
        form = numbers.size if key in ("bytes", "memory") else numbers.seconds
        for name in NAMES:
            value = projection.projected(found, name, key, projection.CRITEO_TB_BYTES)
            if value is not None:
                sizes = sorted(found.sizes[name], key=lambda size: size.tables)
                measured = [f"{form(quantity.of(size))} at {numbers.size(size.tables)}" for size in sizes]
                rows.append([quantity.title, name, ", ".join(measured), form(value)])
    target = numbers.size(projection.CRITEO_TB_BYTES)
    note = (
        f"Nothing in the last column was measured. {target} are the full tables of Criteo-TB's DLRM; the MLPs stay as "
        "they are here. The bytes of a release follow from the tables; the rest is one straight line over the bytes of "
        "a release through all that was measured."
    )
    return Table(f"Projection to {target} of tables", note, ["", "", "measured", f"projected to {target}"], rows)


def machine(found: Comparison) -> Iterator[tuple[str, str]]:
    """What it ran on, by name."""
    box = found.machine
    yield "machine", f"{box.processor}, {box.cores} cores, {numbers.size(box.memory_bytes)}, {box.system}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in found.versions.items())
    yield "command", " ".join(found.command)
    yield "started", f"{found.started:%Y-%m-%d %H:%M} UTC, took {found.seconds:.0f} s"
    traffic = found.settings.traffic
    rows = f" of {traffic.rows} rows" if traffic.scenario == "batch" else ""
    yield "requests", f"{traffic.scenario}{rows}, {traffic.encoding}, seed {traffic.seed}, the same to both"
    if found.ceiling:
        yield "generator's ceiling", f"{numbers.number(found.ceiling)} requests/s"
    for name in NAMES:
        if side := found.sides.get(name):
            yield name, _described(side.label, side.source, side.served)


def _described(label: str, source: str, served: dict[str, object]) -> str:
    known = ("name", "version", "scheme", "precision", "provider", "lookup")
    return f"{label} ({source}): " + ", ".join(f"{key} {served[key]}" for key in known if served.get(key))


def letters(found: Comparison) -> dict[Name, str]:
    """What A and B stand for."""
    return {name: side.label for name, side in found.sides.items()}
