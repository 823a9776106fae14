"""Text as it may stand in a column of a click file, by the most awkward first."""

from hypothesis import strategies as st

WORDS = """0 -0 +7 007 7.0 1. .5 . - +-5 1-2 1e5 1E+05 1e-400 1e400 e5 1_0 0x1F 1f NaN null N/A true False inf 1e39 ٣
3.4028236e38 0a1b2c3d DEADBEEF Größe \udcff caf\udce9 \\N"""
TRICKY = ["", " ", "\0", "1\0", "12 34 56", "\u2028", "\xa0", " 1f ", "9" * 101, "0" * 30 + "1", "f" * 15, "f" * 16]
TRICKY += [*WORDS.split(), *map(str, (10**18 - 1, 10**18, (1 << 60) - 1, 1 << 60, 1 << 64, -(1 << 63)))]
TEXTS = st.sampled_from(TRICKY) | st.text("0123456789+-.eExX \tnaNA\\_", max_size=6) | st.text(max_size=4)
HOLEY = st.text(st.characters(codec=None) | st.sampled_from("\udc80\udcff"), max_size=3)


def escaped(value: str) -> bool:
    """Whether a text can come from a file: its surrogates stand for bytes that are no UTF-8."""
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == value
    except UnicodeEncodeError:
        return False
