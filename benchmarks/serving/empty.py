"""The same server with nothing behind it: it reads a request and answers with constant bytes.

python -m benchmarks.serving.empty PORT
"""

import sys
from functools import partial
from typing import Any

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from thimble.service.http.connection import Protocol, State
from thimble.service.process.listener import listen

BODY = b'{"model":"demo","version":1,"scores":[0.024463326]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    protocol: Any = partial(Protocol, door=lambda *_: None, patience=10.0)
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )
    server = uvicorn.Server(config)
    server.server_state = State()
    uvloop.run(server.serve(sockets=[listen("127.0.0.1", int(sys.argv[1]))]))
