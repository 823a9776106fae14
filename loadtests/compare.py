"""Two deployments side by side: the same requests to both, in rounds in which each goes first in turn."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests import fulltable, measure, pagecache, releases
from loadtests.comparison import NAMES, Attempt, Comparison, Name, Replicas, Side, Size, Turn
from loadtests.deployments import Artifact, DeploymentError, Server, find_artifact, serving, staged
from loadtests.measure import MeasureError
from loadtests.memory import Memory, cpu_seconds, weigh
from loadtests.releases import Swap
from loadtests.served import LoadError, Served, served
from loadtests.startup import ask_all, first_answers
from loadtests.traffic import Prepared, prepare

SHARES_OF_KNEE = (0.1, 0.25, 0.5, 0.75, 0.9)
REPLICAS = (1, 2, 4)
SPARE_BYTES = 1_000_000_000


@dataclass
class Contender:
    """A deployment as it is measured: where it answers, or the artifact that servers are started for.

    `shelf` is a second version of the artifact that is not in the repository yet.
    """

    name: Name
    url: str | None = None
    artifact: Artifact | None = None
    shelf: Path | None = None
    copied: float = 0
    described: Served | None = None
    requests: Sequence[Prepared] = ()


class Comparer:
    """Fills in a comparison and writes it down after every step of it."""

    def __init__(self, comparison: Comparison, results: Path, say: Callable[[str], None]) -> None:
        self._all = comparison
        self._results = results
        self._model = comparison.settings.traffic.model
        self._work = results.parent / "work"
        self._tell = say
        self._doing = ""
        self._begun = time.perf_counter()

    def run(self, sources: Sequence[str]) -> None:
        """Compare two sources, each a URL, a repository or a file, or without any the pair that is built in.

        Whatever becomes of it is in the comparison. LoadError: there is no such artifact, and nothing was begun.
        """
        given = [None if _is_url(source) else find_artifact(Path(source), self._model) for source in sources]
        shutil.rmtree(self._work, ignore_errors=True)
        try:
            self._work.mkdir(parents=True)
            self._run(sources, given)
            self._all.complete, self._all.reason = True, None
        except (DeploymentError, MeasureError, LoadError) as error:
            self._all.reason = f"{self._doing}: {str(error).removeprefix('thimble-load: ')}"
        except KeyboardInterrupt:
            self._all.reason = f"it was stopped before its end, during {self._doing}"
        except OSError as error:
            self._all.reason = f"{self._doing}: {error}"
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
            self._write()

    def _run(self, sources: Sequence[str], artifacts: Sequence[Artifact | None]) -> None:
        contenders = self._given(sources, artifacts) if sources else self._built_in(1)
        for contender in contenders:
            self._introduce(contender)
        if any(contender.artifact for contender in contenders):
            with serving_nothing(self._work / "nothing") as server:
                self._all.empty = weigh([server.pid])
        for number in range(self._all.settings.rounds):
            self._round(number, contenders if number % 2 == 0 else contenders[::-1])
        for contender in contenders:
            self._replicate(contender)
        if not sources:
            self._sizes(contenders)

    # what is compared

    def _given(self, sources: Sequence[str], artifacts: Sequence[Artifact | None]) -> list[Contender]:
        contenders = []
        for name, source, artifact in zip(NAMES, sources, artifacts, strict=True):
            if artifact is None:
                contenders.append(Contender(name, url=source.rstrip("/")))
                self._all.sides[name] = Side(label=source, source=source)
            else:
                self._check_space(2 * artifact.size)
                contenders.append(self._stage(name, artifact, self._work))
                self._all.sides[name] = _side(source, source, artifact)
        return contenders

    def _built_in(self, divisor: int) -> list[Contender]:
        settings = self._all.settings
        _, size = fulltable.tables(settings, divisor)
        self._check_space(2 * size)
        self._say(f"writing a model with {size / 1e9:.2f} GB of full tables, and its compressed form")
        folder = self._work / f"size-{divisor}"
        contenders = []
        for name, artifact in zip(NAMES, fulltable.exported(settings, folder, divisor), strict=True):
            contenders.append(self._stage(name, artifact, folder))
            if divisor == 1:
                label = "full tables" if name == "A" else f"compressed {fulltable.COMPRESSION:,}x"
                self._all.sides[name] = _side(label, f"untrained {settings.tables}", artifact)
                self._all.tables = size
            self._write()
        return contenders

    def _stage(self, name: Name, artifact: Artifact, folder: Path) -> Contender:
        own = staged(artifact, folder / f"repository-{name}")
        shelf = folder / f"shelf-{name}"
        return Contender(name, artifact=own, shelf=shelf, copied=releases.copy(own, shelf))

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._work).free
        if free < needed + SPARE_BYTES:
            raise DeploymentError(
                f"{self._work} needs {needed / 1e9:.1f} GB of disk, of which {free / 1e9:.1f} are free"
            )

    def _introduce(self, contender: Contender) -> None:
        """Learn what it serves, and prepare the requests."""
        self._say(f"what {contender.name} serves")
        with self._started(contender) as server:
            url = contender.url or _of(server).url
            contender.described, self._all.sides[contender.name].served = served(url, self._model)
            contender.requests = prepare(self._all.settings.traffic, contender.described)
            if self._all.ceiling is None:
                traffic, connections = self._all.settings.traffic, self._all.settings.connections
                self._all.ceiling = measure.ceiling(url, traffic, connections=connections)
                self._say(f"the generator's ceiling is {self._all.ceiling:.0f} requests/s")

    @contextmanager
    def _started(self, contender: Contender) -> Iterator[Server | None]:
        """A server for it that is ready, or None where there is one elsewhere."""
        if contender.artifact is None:
            yield None
            return
        with self._starting(contender) as server:
            server.wait_until("/readyz")
            yield server

    @contextmanager
    def _starting(self, contender: Contender) -> Iterator[Server]:
        assert contender.artifact
        log = self._work / f"{contender.name}-{time.monotonic_ns()}.log"
        with serving(contender.artifact.folder.parents[1], log) as server:
            yield server

    # a round

    def _round(self, number: int, order: Sequence[Contender]) -> None:
        turns = {contender.name: Turn() for contender in order}
        self._all.rounds.append(turns)
        title = f"round {number + 1} of {self._all.settings.rounds}"
        for contender in order:
            if contender.artifact:
                self._say(f"{title}: {contender.name} from a cold disk")
                with self._starting_up(contender, turns[contender.name], cold=True):
                    self._write()
        with ExitStack() as stack:
            servers: dict[Name, Server | None] = {}
            for contender in order:
                servers[contender.name] = None
                if contender.artifact:
                    starting = self._starting_up(contender, turns[contender.name], cold=False)
                    servers[contender.name] = stack.enter_context(starting)
            for contender in order:
                self._say(f"{title}: the knee of {contender.name}")
                self._find_knee(contender, servers[contender.name], turns[contender.name])
            self._choose_rates()
            for contender in order:
                self._say(f"{title}: {contender.name} at {len(self._all.rates)} rates")
                self._offer(contender, servers[contender.name], turns[contender.name])
            for contender in order:
                if server := servers[contender.name]:
                    self._say(f"{title}: a new version of {contender.name}")
                    turns[contender.name].swap = _swap(contender, server)
                    self._write()

    @contextmanager
    def _starting_up(self, contender: Contender, turn: Turn, *, cold: bool) -> Iterator[Server]:
        """A server that has answered its first requests, off a cold disk or not."""
        assert contender.artifact and contender.described
        files = contender.artifact.files
        cached = (pagecache.evict if cold else pagecache.warm)(files) / contender.artifact.size
        with self._starting(contender) as server:
            requests = contender.requests[1:]  # the first is the golden row alone
            turn.startups.append(first_answers(server, contender.described, requests, cold=cold, cached=cached))
            yield server

    def _find_knee(self, contender: Contender, server: Server | None, turn: Turn) -> None:
        settings = self._all.settings
        known = [other.knee for other in self._all.turns(contender.name) if other.knee]
        run = measure.find_knee(
            contender.url or _of(server).url,
            settings.traffic,
            settings.max_p99_ms,
            start=known[0] / 1.5 if known else self._pace(contender, server) / 2,
            seconds=settings.seconds,
            connections=settings.connections,
            ceiling=self._all.ceiling,
        )
        turn.knee = run.knee
        turn.attempts = [
            Attempt(offered=step.offered, achieved=step.achieved, p99_ms=step.latency.p99 if step.latency else None)
            for step in run.steps
        ]
        self._write()

    def _pace(self, contender: Contender, server: Server | None) -> float:
        """Requests/s of one client that waits for its answers."""
        if server is None or contender.described is None:
            return measure.CONNECTIONS
        start = time.perf_counter()
        requests = contender.requests[: len(contender.requests) // 4 + 1]
        ask_all(server, contender.described, requests)
        return len(requests) / (time.perf_counter() - start)

    def _choose_rates(self) -> None:
        """Once: shares of the lower knee, so that both can bear them."""
        if not self._all.rates:
            lowest = min(turn.knee or 0 for turn in self._all.rounds[0].values())
            if not lowest:
                raise DeploymentError(f"no rate kept p99 under {self._all.settings.max_p99_ms:g} ms")
            self._all.rates = [round(lowest * share, 1) for share in SHARES_OF_KNEE]

    def _offer(self, contender: Contender, server: Server | None, turn: Turn) -> None:
        settings = self._all.settings
        before = cpu_seconds([server.pid]) if server else 0
        run = measure.run(
            contender.url or _of(server).url,
            settings.traffic,
            "step",
            self._all.rates,
            settings.seconds,
            connections=settings.connections,
            ceiling=self._all.ceiling,
        )
        turn.steps, turn.rows = run.steps, sum(step.ok_rows for step in run.steps)
        if not run.complete:
            raise MeasureError(run.reason)
        if server:
            turn.cpu_seconds = cpu_seconds([server.pid]) - before
            turn.memory = _weigh([server], contender)
        self._write()

    # beside the rounds

    def _replicate(self, contender: Contender) -> None:
        """Several servers of one artifact."""
        if contender.artifact is None:
            return
        found = self._all.replicas[contender.name] = []
        pagecache.warm(contender.artifact.files)
        for count in REPLICAS:
            self._say(f"{count} replica{'s' * (count > 1)} of {contender.name}")
            with ExitStack() as stack:
                servers = [stack.enter_context(self._starting(contender)) for _ in range(count)]
                for server in servers:
                    server.wait_until("/readyz")
                    assert contender.described
                    ask_all(server, contender.described, contender.requests)
                found.append(Replicas(replicas=count, memory=_weigh(servers, contender)))
            self._write()

    def _sizes(self, contenders: Sequence[Contender]) -> None:
        """What depends on the size of the tables: as they are, and a few times smaller."""
        for divisor in (1, fulltable.SMALLER):
            _, tables = fulltable.tables(self._all.settings, divisor)
            if divisor > 1:
                shutil.rmtree(self._work / "size-1")
            for contender in contenders if divisor == 1 else self._built_in(divisor):
                self._say(f"{contender.name} with {tables / 1e9:.2f} GB of tables")
                contender.described = contender.described or self._described(contender)
                contender.requests = contender.requests or prepare(self._all.settings.traffic, contender.described)
                self._all.sizes.setdefault(contender.name, []).append(self._size(contender, tables))
                self._write()

    def _described(self, contender: Contender) -> Served:
        with self._started(contender) as server:
            return served(_of(server).url, self._model)[0]

    def _size(self, contender: Contender, tables: int) -> Size:
        assert contender.artifact and contender.described
        turn = Turn()
        with self._starting_up(contender, turn, cold=True) as server:
            pagecache.warm(contender.artifact.files)
            ask_all(server, contender.described, contender.requests)
            memory = _weigh([server], contender)
            swap = _swap(contender, server)
        return Size(tables=tables, size=contender.artifact.size, startup=turn.startups[0], memory=memory, swap=swap)

    def _say(self, doing: str) -> None:
        self._doing = doing
        self._tell(doing)

    def _write(self) -> None:
        self._all.seconds = time.perf_counter() - self._begun
        self._all.write(self._results)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _of(server: Server | None) -> Server:
    assert server
    return server


def _side(label: str, source: str, artifact: Artifact) -> Side:
    files = {path.name: path.stat().st_size for path in artifact.files}
    return Side(label=label, source=source, size=artifact.size, files=files)


def _weigh(servers: Sequence[Server], contender: Contender) -> Memory:
    assert contender.artifact
    files = contender.artifact.files
    memory = weigh([server.pid for server in servers], files)
    memory.cached = pagecache.resident(files)
    return memory


def _swap(contender: Contender, server: Server) -> Swap:
    """A second version arrives and is made the live one; at the end the repository is as it was."""
    assert contender.artifact and contender.shelf
    folder = contender.artifact.folder.parent
    pushed = releases.push(server, Artifact(contender.shelf, contender.artifact.model), 3)
    contender.shelf.rename(folder / "2")
    released = releases.release(server, contender.artifact.model, 2)
    (folder / "2").rename(contender.shelf)
    shutil.rmtree(folder / "3", ignore_errors=True)
    (folder / "release.json").unlink(missing_ok=True)
    return Swap(copied=contender.copied, pushed=pushed, released=released)


@contextmanager
def serving_nothing(folder: Path) -> Iterator[Server]:
    """A server without a model."""
    folder.mkdir()
    with serving(folder, folder.with_suffix(".log")) as server:
        server.wait_until("/healthz")
        yield server
