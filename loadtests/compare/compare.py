"""Two deployments side by side: the same requests to both, in rounds in which each goes first in turn."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from thimble.loadtests import measure
from thimble.loadtests.compare import estimate, fulltable, pagecache, processes
from thimble.loadtests.compare.contenders import Contender, Local, Remote, check_room
from thimble.loadtests.compare.deployments import DeploymentError, Server, VersionFolder, find_version, serving
from thimble.loadtests.compare.rounds import Round
from thimble.loadtests.compare.startup import ask_all
from thimble.loadtests.measure import MeasureError
from thimble.loadtests.results.comparison import NAMES, ComparisonJournal, Replicas, Side, Size
from thimble.loadtests.traffic.served import LoadError

REPLICAS = (1, 2, 4)


def compare(journal: ComparisonJournal, sources: Sequence[str]) -> None:
    """Compare two sources, each a URL, a repository or a file, or without any the pair that is built in.

    Whatever becomes of it is in the journal's comparison. LoadError: there is no such file, nothing was begun.
    """
    if sys.platform != "linux":
        raise LoadError("memory and the page cache can be measured on Linux alone")
    model = journal.comparison.settings.traffic.model
    versions = [None if _is_url(source) else find_version(Path(source), model) for source in sources]
    found, work = journal.comparison, journal.path.with_name(f".{journal.path.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        _Comparer(journal, work).run(sources, versions)
        found.complete, found.reason = True, None
    except (DeploymentError, MeasureError, LoadError, OSError) as error:
        found.reason = f"{journal.doing}: {str(error).removeprefix('thimble-load: ')}"
    except KeyboardInterrupt:
        found.reason = f"it was stopped before its end, during {journal.doing}"
    finally:
        shutil.rmtree(work, ignore_errors=True)
        journal.write()


class _Comparer:
    """`work` is a folder for models and logs."""

    def __init__(self, journal: ComparisonJournal, work: Path) -> None:
        self._journal = journal
        self._comparison = journal.comparison
        self._work = work

    def run(self, sources: Sequence[str], versions: Sequence[VersionFolder | None]) -> None:
        """DeploymentError, MeasureError, LoadError, OSError: why it goes no further."""
        running = sum(version is None for version in versions)
        self._journal.left = estimate.whole(self._comparison.settings, len(NAMES) - running, sum(REPLICAS))
        built_in = [] if sources else self._built_in(1)
        contenders = [*built_in, *self._given(sources, versions)]
        for contender in contenders:
            self._introduce(contender)
        local = [contender for contender in contenders if isinstance(contender, Local)]
        if local:
            with _serving_nothing(self._work / "nothing") as server:
                self._comparison.empty = processes.memory([server.pid])
        for number in range(self._comparison.settings.rounds):
            Round(self._journal, number, contenders if number % 2 == 0 else contenders[::-1]).run()
        for contender in local:
            self._replicate(contender)
        if built_in:
            self._measure_sizes(built_in)

    def _given(self, sources: Sequence[str], versions: Sequence[VersionFolder | None]) -> Iterator[Contender]:
        for name, source, version in zip(NAMES, sources, versions, strict=False):
            if version is None:
                self._comparison.sides[name] = Side(label=source, source=source)
                yield Remote(name, source)
            else:
                self._journal.say(f"a copy of {name}", 0)
                contender = Local(name, version, self._work)
                self._comparison.sides[name] = contender.side(source, source)
                yield contender

    def _built_in(self, divisor: int) -> list[Local]:
        """The pair with tables that are so many times smaller than they should be."""
        settings = self._comparison.settings
        _, tables = fulltable.tables(settings, divisor)
        self._journal.say(
            f"writing a model with {tables / 1e9:.2f} GB of full tables, and its compressed form", estimate.WRITING
        )
        folder = self._work / f"size-{divisor}"
        folder.mkdir()
        check_room(folder, 2 * tables)
        pair = [Local(name, version, folder) for name, version in fulltable.exported(settings, folder, divisor)]
        if divisor == 1:
            self._comparison.tables = tables
            labels = "full tables", f"compressed {fulltable.COMPRESSION:,}x"
            for contender, label in zip(pair, labels, strict=True):
                self._comparison.sides[contender.name] = contender.side(label, f"untrained {settings.tables}")
        self._journal.write()
        return pair

    def _introduce(self, contender: Contender) -> None:
        label = self._comparison.sides[contender.name].label
        self._journal.say(f"what {contender.name} serves, {label}", estimate.STARTING)
        settings = self._comparison.settings
        with ExitStack() as stack:
            if isinstance(contender, Local):
                stack.enter_context(contender.ready())
            self._comparison.sides[contender.name].served = contender.describe(settings.traffic)
            if self._comparison.ceiling is None:
                self._journal.say("the generator's ceiling, the most that it can send here itself", 0)
                ceiling = measure.ceiling(contender.url, settings.traffic, connections=settings.connections)
                self._comparison.ceiling = ceiling

    def _replicate(self, contender: Local) -> None:
        """Several servers of one version."""
        found = self._comparison.replicas[contender.name] = []
        pagecache.warm(contender.version.files)
        for count in REPLICAS:
            self._journal.say(f"{count} replica{'s' * (count > 1)} of {contender.name}", count * estimate.STARTING)
            with ExitStack() as stack:
                servers = [stack.enter_context(contender.launched()) for _ in range(count)]
                for server in servers:
                    server.wait_until("/readyz")
                    ask_all(server, contender.described, contender.requests)
                found.append(Replicas(replicas=count, memory=contender.memory(servers)))
            self._journal.write()

    def _measure_sizes(self, pair: Sequence[Local]) -> None:
        """What depends on the size of the tables: as they are, and a few times smaller."""
        self._measure_size(pair, 1)
        shutil.rmtree(self._work / "size-1")
        smaller = self._built_in(fulltable.SMALLER)
        for contender in smaller:
            with contender.ready():
                contender.describe(self._comparison.settings.traffic)
        self._measure_size(smaller, fulltable.SMALLER)

    def _measure_size(self, pair: Sequence[Local], divisor: int) -> None:
        _, tables = fulltable.tables(self._comparison.settings, divisor)
        for contender in pair:
            self._journal.say(f"{contender.name} with {tables / 1e9:.2f} GB of tables", estimate.STARTING)
            with contender.timed_start(cold=True) as (server, startup):
                pagecache.warm(contender.version.files)
                ask_all(server, contender.described, contender.requests)
                memory, swap = contender.memory([server]), contender.swap(server)
            size = Size(tables=tables, size=contender.version.size, startup=startup, memory=memory, swap=swap)
            self._comparison.sizes.setdefault(contender.name, []).append(size)
            self._journal.write()


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


@contextmanager
def _serving_nothing(folder: Path) -> Iterator[Server]:
    """A server without a model."""
    folder.mkdir()
    with serving(folder, folder.with_suffix(".log")) as server:
        server.wait_until("/healthz")
        yield server
