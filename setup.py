"""What pyproject.toml cannot say: where packages lie, and that a wheel holds the native op where it can be built."""

import runpy
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent
# The folders at the top are the sub-packages of one namespace, thimble.
FOLDERS = ["client", "export", "loadtests", "models", "ops", "service"]
PACKAGES = [path.parent.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")]
OPS = runpy.run_path(str(ROOT / "ops" / "build.py"))


class WithLibrary(Distribution):
    """Made for this platform if the library is there to go into it, else for any."""

    def has_ext_modules(self) -> bool:
        return bool(OPS["LIBRARY"].is_file())


class Wheel(bdist_wheel):
    """Builds the library first. It takes any Python 3: it knows ONNX Runtime's interface and not Python's."""

    def finalize_options(self) -> None:
        if problem := OPS["build"]():
            self.announce(f"the native op is not built: {problem}", level=3)
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(
    distclass=WithLibrary,
    packages=sorted(f"thimble.{'.'.join(path.parts)}" for path in PACKAGES),
    package_dir={f"thimble.{folder}": folder for folder in FOLDERS},
    package_data={
        "thimble.ops": ["*.so"],
        "thimble.export.importing": ["formats/*/*.yaml"],
        "thimble.export.report": ["page.html"],
        "thimble.service.page": ["*.html", "*.css", "*.js", "*.svg"],
        "thimble.loadtests.report": ["report.html", "report.md"],
    },
    cmdclass={"bdist_wheel": Wheel},
)
