"""What most people write first: FastAPI, a pydantic body of one row, session.run.

python -m benchmarks.serving.rivals.plain PORT [h11]

By default in its fastest form: on uvloop and httptools, without a thread pool. With `h11` as it is written first
and as `pip install uvicorn` runs it: a plain `def`, asyncio and h11.
"""

import sys
from typing import Any, Literal

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model

from benchmarks.serving.rivals.session import open_session

NUMBERS, TOKENS = [f"I{i}" for i in range(1, 14)], [f"C{i}" for i in range(1, 27)]
FIELDS: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, (float | None, None)),
    **dict.fromkeys(TOKENS, (str | None, None)),
}
Row: type[BaseModel] = create_model("Row", **FIELDS)


class Score(BaseModel):
    score: float


app = FastAPI()
session = open_session()


@app.get("/healthz")
async def alive() -> dict[str, str]:
    return {"status": "alive"}


def score(row: Row) -> Score:  # type: ignore[valid-type]
    values = row.model_dump()  # type: ignore[attr-defined]
    dense = np.array([[np.nan if values[name] is None else values[name] for name in NUMBERS]], np.float32)
    ids = np.array([[int(values[name] or "0", 16) for name in TOKENS]], np.int64)
    return Score(score=session.run(["score"], {"dense": dense, "ids": ids})[0][0])


async def score_on_the_loop(row: Row) -> Score:  # type: ignore[valid-type]
    return score(row)


def main() -> None:
    http: Literal["h11", "httptools"] = "h11" if sys.argv[2:] == ["h11"] else "httptools"
    app.post("/score")(score if http == "h11" else score_on_the_loop)
    loop: Literal["asyncio", "uvloop"] = "asyncio" if http == "h11" else "uvloop"
    uvicorn.run(app, port=int(sys.argv[1]), loop=loop, http=http, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
