"""thimble-load: run load tests against a server."""

import os
import sys
from pathlib import Path

USAGE = """usage: thimble-load run --host URL [LOCUST OPTIONS]

Runs Locust headless over loadtests/locustfile.py, eight users for 30 seconds unless its options say otherwise:
  thimble-load run --host http://127.0.0.1:8000 --users 16 --run-time 1m"""


def main() -> None:
    """The console script; hands over to Locust, whose exit status it keeps."""
    if sys.argv[1:2] != ["run"]:
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    locust = Path(sys.executable).with_name("locust")
    defaults = ["-f", str(Path(__file__).with_name("locustfile.py")), "--headless", "-u", "8", "-r", "8", "-t", "30s"]
    os.execv(locust, [str(locust), *defaults, *sys.argv[2:]])  # noqa: S606
