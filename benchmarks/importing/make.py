"""One checkpoint of a project by its own code, where that runs:

python -m benchmarks.importing.make PROJECT VARIANT SOURCES FOLDER
"""

import sys
from importlib import import_module
from pathlib import Path

import torch


def main() -> None:
    project, variant, sources, folder = sys.argv[1:]
    torch.manual_seed(5)
    module = import_module(f"benchmarks.importing.{project}")
    module.make(variant, Path(sources).resolve(), Path(folder).resolve())


if __name__ == "__main__":
    main()
