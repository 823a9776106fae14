"""Options of `thimble-export train` and `untrained` that would do nothing beside others, and are refused."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from thimble.export.clicks.rows import ClickError
from thimble.export.wording import listed
from thimble.models.architectures import ARCHITECTURES

Options = Mapping[str, Any]
"""Those that were given, by the names of their parameters."""


class _Ignored(NamedTuple):
    """Options, by the names of their parameters, that nothing is done with, and why."""

    where: Callable[[Options], bool]
    reason: str
    options: tuple[str, ...]


def _own_columns(options: Options) -> bool:
    return "preset" not in options and "from_run" not in options


def _numbers(options: Options) -> bool:
    return bool(options.get("dense"))


def _ids(options: Options) -> bool:
    return any(options.get(kind) for kind in ("ints", "hexes", "strings"))


def _dense_arch(options: Options) -> bool:
    """Whether there is an MLP that takes numbers, which ends with the embeddings' dimension."""
    kind = ARCHITECTURES.get(options.get("arch", "dlrm"))
    return kind is None or "dense_arch" in kind.takes


def _unknown_to(kind: str) -> _Ignored:
    """Sizes that an architecture does not have."""
    return _Ignored(
        lambda given: _own_columns(given) and (given.get("arch") or "dlrm") == kind,
        f"--arch {kind} has no such layers",
        tuple(name for name in _LAYERS if name not in ARCHITECTURES[kind].takes),
    )


_LAYERS = ("dense_arch", "over_arch", "cross_layers", "cross_rank")
_FILES = ("held_out", "held_out_share", "in_order", "cache", "no_cache", "strict", "multiline", "missing")
_TABLE = (
    _Ignored(
        lambda given: "generate" in given and "," not in given.get("label", ""),
        "--generate reads no files",
        ("label", *_FILES, "timestamps"),
    ),
    _Ignored(lambda given: "generate" in given, "--generate reads no files", (*_FILES, "timestamps")),
    _Ignored(
        lambda given: "preset" in given and "from_run" not in given,
        "--preset has sizes of its own",
        ("embedding_dim", *_LAYERS),
    ),
    _Ignored(lambda given: "from_run" in given, "--from has the columns of its run, and their bags", ("multi",)),
    _Ignored(lambda given: "preset" in given, "--preset has columns of its own", ("multi",)),
    *map(_unknown_to, ARCHITECTURES),
    _Ignored(
        lambda given: given.get("scheme") == "full" and "from_run" not in given,
        "--scheme full shares no array",
        ("memory", "chunk", "hot_rows"),
    ),
    _Ignored(
        lambda given: given.get("scheme", "block") not in ("block", "full") and "from_run" not in given,
        "of the schemes block alone has hot rows",
        ("hot_rows",),
    ),
    _Ignored(
        lambda given: _own_columns(given) and _numbers(given) and not _ids(given),
        "a model of numbers alone has no embeddings",
        ("scheme", "memory", "chunk", "memory_precision", "hot_rows"),
    ),
    _Ignored(
        lambda given: _own_columns(given) and _numbers(given) and not _ids(given) and not _dense_arch(given),
        "a model of numbers alone has no embeddings",
        ("embedding_dim",),
    ),
    _Ignored(
        lambda given: _own_columns(given) and _ids(given) and not _numbers(given),
        "a model of ids alone has no numbers",
        ("dense_arch", "dense_transform"),
    ),
    _Ignored(lambda given: "held_out" in given, "--held-out says what to evaluate on", ("held_out_share",)),
    _Ignored(lambda given: bool(given.get("no_cache")), "--no-cache keeps nothing", ("cache",)),
)


def refuse_ignored(given: Options) -> None:
    """ClickError: some of these would do nothing."""
    for where, reason, options in _TABLE:
        if where(given) and (ignored := [f"--{name.replace('_', '-')}" for name in options if name in given]):
            raise ClickError(f"{reason}: leave out {listed(ignored)}")
