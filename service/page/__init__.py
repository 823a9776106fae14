"""The page at `/`: HTML, CSS and JavaScript that a browser runs as they are. What they show they ask for by HTTP."""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__name__)))
START = "index.html"
SUFFIXES = (".css", ".js", ".svg")
FILES = tuple(sorted(path.name for path in FOLDER.iterdir() if path.suffix in SUFFIXES))
"""The names of what the page asks for beside itself."""
