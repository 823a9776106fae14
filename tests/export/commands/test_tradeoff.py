"""`thimble-export tradeoff`, as it is typed."""

import re
from pathlib import Path

import pytest

from testing.samples import write_csv
from tests.export.conftest import Run

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]
SMALL = ["--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "16"]
GRID = ["--compression", "2", "--chunk", "8", "--seeds", "1", "--jobs", "1", "--epochs", "2"]


def test_a_trade_off_is_a_table_a_page_and_a_sentence(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 600)
    said = run("tradeoff", csv, *COLUMNS, *SMALL, *GRID, "--within", "0.4")
    assert said.status == 0, said.err
    assert (
        "2 models and up to 1 seed of each, 1 run at a time, 30 minutes; what is found lies in runs/model-tradeoff"
        in said.out
    )
    assert re.search(r"^full tables, 2 epochs, seed 0: AUC 0\.\d{4}, 1\.\d kB, ", said.out, re.MULTILINE)
    table, last = said.out.split("\nmodel  ")[1], said.out.splitlines()[-1]
    assert re.search(
        r"^block int4, chunks of 8, 2 epochs +2 +672 B \d\S* % +1 +0\.\d{4} +[+-]0\.\d{4} .* \d+\.\d\d x$",
        table,
        re.MULTILINE,
    )
    assert re.fullmatch(
        r"advice: the smallest memory within 0.4 AUC of full tables has .* train with the same .* --scheme block .*",
        last,
    )
    page, (sentence, given) = Path("runs/model-tradeoff/report.html").read_text(), last[8:].split(" and --scheme ")
    assert sentence in page and not re.search(r"https?://|<script", page)
    trained = run("train", csv, *COLUMNS, *SMALL, "--scheme", *given.split())
    assert trained.status == 0, trained.err

    more = run("tradeoff", csv, *COLUMNS, *SMALL, *GRID, "--scheme", "robe-v1")
    assert more.status == 0, more.err
    assert "full tables, 2 epochs, seed 0" not in more.out, "what is finished is not trained again"
    assert "robe-v1 fp32, chunks of 8" in more.out and "block int4, chunks of 8" in more.out.split("\nmodel  ")[1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--compression", "ten"], "--compression takes numbers separated by commas, not 'ten'"),
        (["--compression", "inf"], "--compression takes numbers separated by commas, not 'inf'"),
        (["--compression", "0.5"], "--compression says how many times smaller, so 0.5 is none"),
        (
            ["--compression", "10,9999"],
            "block compressed 9999 times: a memory of 0 bytes does not hold two int4 chunks",
        ),
        (["--chunk", "0"], "--chunk takes whole numbers above 0 separated by commas, not '0'"),
        (["--epochs", "1,x"], "--epochs takes whole numbers above 0 separated by commas, not '1,x'"),
        (["--scheme", "blocks"], "--scheme takes block, robe-v1, robe-v2, not 'blocks'"),
        (["--within", "nan"], "--within"),
        (["--minutes", "inf"], "--minutes takes a number, not inf"),
        (["--minutes", "nan"], "--minutes"),
        (["--generate", "2000"], "give click files or --generate N, one of the two"),
        (["--run", "clicks.csv"], "clicks.csv"),
        (["--group", "user"], "no column 'user'"),
    ],
)
def test_what_cannot_be_is_a_sentence(options: list[str], sentence: str, run: Run, tmp_path: Path) -> None:
    said = run("tradeoff", write_csv(tmp_path / "clicks.csv", 100), *COLUMNS, *SMALL, *options)
    assert said.status != 0 and sentence in said.err and "Traceback" not in said.err
    assert not Path("runs/model-tradeoff/outcomes").exists()


def test_columns_and_rows_that_say_nothing_are_refused(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 300)
    said = run("tradeoff", csv, "--label", "clicked", "--dense", "age")
    assert said.status == 1 and "numbers alone has no embeddings" in said.err
    csv.write_text(re.sub("^1,", "0,", csv.read_text(), flags=re.MULTILINE))
    said = run("tradeoff", csv, *COLUMNS, *GRID)
    assert said.status == 1 and "the held-out rows are all of one class" in said.err


def test_generated_clicks_need_no_files_and_time_may_be_too_short(run: Run) -> None:
    said = run("tradeoff", "--generate", "1000", "--preset", "criteo-kaggle", "--minutes", "0.01", "--run", "here")
    assert said.status == 0, said.err
    assert "at a time, 0.01 minutes; what" in said.out
    assert "left out for want of time (5 runs): full tables, seed 0, block int4, chunks of 4, 10x, seed 0, " in said.out
    assert "advice: full tables are not trained yet" in said.out and Path("here/report.html").is_file()
