"""Results files, which readers find whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a file at once, or not at all. Its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)
