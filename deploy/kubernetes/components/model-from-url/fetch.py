"""Fetch a model into a repository, if it is the very one that is wanted. Needs Python alone.

python fetch.py REPOSITORY, with URL, SHA256, MODEL and VERSION in the environment.
"""

import hashlib
import os
import sys
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 60


def main() -> None:
    """Exit status 1: it cannot be had, or it is another."""
    url, wanted = os.environ["URL"], os.environ["SHA256"].lower()
    folder = Path(sys.argv[1], os.environ["MODEL"], os.environ["VERSION"])
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 who deploys names it
            content = response.read()
    except (OSError, ValueError) as error:
        sys.exit(f"{url}: {error}")
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        sys.exit(f"{url}: its SHA-256 is {found}, and not {wanted}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)


if __name__ == "__main__":
    main()
