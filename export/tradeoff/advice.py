"""What a trade-off comes to, in a sentence."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from thimble.export.tradeoff.findings import Finding
from thimble.export.wording import counted, size


class Advice(NamedTuple):
    """A sentence, and the options of `thimble-export train` by which the model is made that it names, if any."""

    sentence: str
    options: Sequence[str] = ()

    @property
    def line(self) -> str:
        """For a terminal."""
        return f"{self.sentence}{_TRAIN}{' '.join(self.options)}" if self.options else self.sentence

    @property
    def marked(self) -> Markup:
        """For a page, on which no option is broken at its hyphens."""
        options = Markup(" ").join(Markup("<code>{}</code>").format(option) for option in self.options)
        return Markup("{}{}{}").format(self.sentence, _TRAIN if self.options else "", options)


_TRAIN = "; train with the same files and columns, and "


def advised(found: Sequence[Finding], allowed: float) -> Finding | None:
    """The model with the smallest memory whose AUC is no more than what is allowed below full tables."""
    good = [it for it in found if it.gap and it.gap.value >= -allowed]
    return min(good, key=lambda it: (it.embedding_bytes, -it.auc.value), default=None)


def is_sure(finding: Finding, allowed: float) -> bool:
    """That a model is no more than what is allowed below full tables, as far as chance by seeds goes."""
    gap = finding.gap
    return gap is not None and gap.half is not None and gap.value - gap.half >= -allowed


def advice(found: Sequence[Finding], allowed: float, untrained: int = 0, left_out: int = 0) -> Advice:
    """The smallest memory that is good enough and how to train with it, or why there is none.

    So many models of the grid are `untrained`: they have had no time yet. So many runs in all were `left_out`.
    """
    compressed = [it for it in found if it.gap]
    full = max((it for it in found if it.setting.is_full), key=lambda it: it.auc.value, default=None)
    if full is None:
        return Advice("full tables are not trained yet, so there is nothing to compare with; the same command goes on")
    if not compressed:
        return Advice("no compressed model is trained yet; the same command goes on")
    to_come = f"with {counted(untrained, 'model')} still to be trained the same command goes on"
    best = advised(found, allowed)
    if best is None:
        best = max(compressed, key=lambda it: it.auc.value)
        so_far, then = "", "try a smaller --compression, or allow more by --within"
        if untrained:
            so_far, then = " so far", to_come
        return Advice(
            f"no model here is within {allowed:g} AUC of full tables{so_far}: "
            f"the best, {in_words(best)}, is {_gap(best)}; {then}"
        )
    larger = ""
    if best.embedding_bytes >= full.embedding_bytes:
        larger = f", though full tables of the ids that come at least twice have but {size(full.embedding_bytes)}"
    rest = f"; {to_come}" if untrained else ""
    return Advice(
        f"the smallest memory within {allowed:g} AUC of full tables has {size(best.embedding_bytes)}{larger}: "
        f"{in_words(best)} is {_gap(best)}{_doubt(best, allowed, left_out)}{rest}",
        options(best),
    )


def in_words(finding: Finding) -> str:
    """A model's name in a sentence."""
    setting = finding.setting
    if setting.is_full:
        return "full tables"
    hot = " with hot rows" if setting.hot_rows else ""
    return f"{setting.scheme} {setting.precision}{hot} in chunks of {setting.chunk} at {setting.compression:g}x"


def options(finding: Finding) -> list[str]:
    """Of `thimble-export train`, by which it makes this model."""
    setting = finding.setting
    epochs = ["--epochs", str(setting.epochs)] if setting.epochs else []
    return [
        *("--scheme", setting.scheme, "--memory-precision", setting.precision),
        *(["--hot-rows", "auto"] if setting.hot_rows else []),
        *("--memory", str(finding.embedding_bytes), "--chunk", str(setting.chunk), *epochs),
    ]


def _gap(finding: Finding) -> str:
    assert finding.gap is not None
    value, half = finding.gap
    side = "below" if value < 0 else "above"
    chance = "" if half is None else f" (95 % interval {value - half:+.4f} to {value + half:+.4f})"
    return f"{abs(value):.4f} {side} them{chance}, {counted(finding.seeds, 'seed')}"


def _doubt(finding: Finding, allowed: float, left_out: int) -> str:
    assert finding.gap is not None
    if finding.gap.half is None:
        return ", of which chance may make much: more --seeds tell"
    if is_sure(finding, allowed):
        return ""
    more = "--minutes" if left_out else "--seeds"  # where none were left out there is nothing to spend time on
    return f", which chance could still make too little: more {more} tell"
