"""What a trade-off comes to, in a sentence."""

from collections.abc import Sequence

from thimble.export.tradeoff.findings import Finding
from thimble.export.wording import counted, size


def advised(found: Sequence[Finding], allowed: float) -> Finding | None:
    """The model with the smallest memory whose AUC is no more than what is allowed below full tables."""
    good = [it for it in found if it.gap and it.gap.value >= -allowed]
    return min(good, key=lambda it: (it.embedding_bytes, -it.auc.value), default=None)


def advice(found: Sequence[Finding], allowed: float) -> str:
    """The smallest memory that is good enough and how to train with it, or why there is none."""
    compressed = [it for it in found if it.gap]
    full = max((it for it in found if it.setting.is_full), key=lambda it: it.auc.value, default=None)
    if full is None:
        return "full tables are not trained yet, so there is nothing to compare with; the same command goes on"
    if not compressed:
        return "no compressed model is trained yet; the same command goes on"
    best = advised(found, allowed)
    if best is None:
        best = max(compressed, key=lambda it: it.auc.value)
        return (
            f"no model here is within {allowed:g} AUC of full tables: the best, {in_words(best)}, is {_gap(best)}; "
            f"try a smaller --compression, or allow more by --within"
        )
    larger = ""
    if best.embedding_bytes >= full.embedding_bytes:
        larger = f", though full tables of the ids that come at least twice have but {size(full.embedding_bytes)}"
    return (
        f"the smallest memory within {allowed:g} AUC of full tables has {size(best.embedding_bytes)}{larger}: "
        f"{in_words(best)} is {_gap(best)}{_doubt(best, allowed)}; train with {' '.join(options(best))}"
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


def _doubt(finding: Finding, allowed: float) -> str:
    assert finding.gap is not None
    if finding.gap.half is None:
        return ", of which chance may make much: more --seeds tell"
    if finding.gap.value - finding.gap.half < -allowed:
        return ", which chance could still make too little: more --seeds or --minutes tell"
    return ""
