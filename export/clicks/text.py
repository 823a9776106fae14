"""Which of the forms of text a file has."""

from thimble.export.clicks.criteo_lines import CriteoFile
from thimble.export.clicks.csv_files import CsvFile, SpanningCsvFile
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.headers import delimiter
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import ClickFile, Columns


def open_text_clicks(file: FoundFile, columns: Columns, multiline: bool) -> ClickFile:
    """CSV if the file is called so or its first line is a header, Criteo lines if not. ClickError: it is empty.

    Names of other columns make a header too, so that no column is taken for another because of where it stands.
    """
    lines = CriteoFile(file, columns)
    start = SpanningCsvFile(file, columns, ",") if multiline else lines
    first = next((line for line in start.lines() if line.strip()), None)
    if first is None:
        raise ClickError(f"{file.name}: empty")
    names = {*columns.names} - file.given.keys()
    separator = delimiter(first, names, certain=".csv" in file.path.name.lower())
    if not separator and lines.is_header(first):
        separator = "\t"
    if not separator:
        return lines
    return SpanningCsvFile(file, columns, separator) if multiline else CsvFile(file, columns, separator)
