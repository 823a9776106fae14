"""An environment for each rival under build/rivals/, from the exact versions in requirements/.

    python -m benchmarks.serving.rivals.setup [NAME ...]

PyTriton's server loads the system's libpython, so its environment needs the Python that this belongs to: on Debian and
Ubuntu /usr/bin/python3, from 3.9 to 3.13, with python3-venv and libpython3.X installed. The others take the Python that
runs this script.
"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.serving.rivals.session import ROOT

REQUIREMENTS = Path(__file__).with_name("requirements")
ENVIRONMENTS = ROOT / "build" / "rivals"
PYTHONS = {"pytriton": "/usr/bin/python3"}


def build(name: str) -> None:
    """Make or update the environment of a rival."""
    folder = ENVIRONMENTS / name
    subprocess.run([PYTHONS.get(name, sys.executable), "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS / f"{name}.txt")], check=True)


def main() -> None:
    known = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))
    for name in sys.argv[1:] or known:
        if name not in known:
            sys.exit(f"no rival {name!r}; there are {', '.join(known)}")
        began = time.monotonic()
        build(name)
        print(f"{name}: {ENVIRONMENTS / name}, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
