"""Builds the native op into the package where that is possible; everything else is in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

BUILD = Path(__file__).resolve().parent / "export" / "ops" / "build.py"


class Wheel(bdist_wheel):
    """A wheel for this platform if the library is there to go into it, else for any."""

    def finalize_options(self) -> None:
        ops = runpy.run_path(str(BUILD))
        if problem := ops["build"]():
            self.announce(f"the native op is not built: {problem}", level=3)
        super().finalize_options()
        self.root_is_pure = not ops["LIBRARY"].is_file()

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        return ("py3", "none", platform) if not self.root_is_pure else (python, abi, platform)


setup(cmdclass={"bdist_wheel": Wheel})
