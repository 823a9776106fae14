"""The same server with nothing behind it: it reads a request and answers with constant bytes.

python -m benchmarks.serving.empty PORT
"""

import sys
from typing import Any

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from thimble.service.http.connection import Connection
from thimble.service.http.exchange import State
from thimble.service.http.serving import Serving
from thimble.service.process.listener import listen

BODY = b'{"model":"demo","version":1,"scores":[0.024463326]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    state: Any = State()
    serving = Serving(
        app, state, lambda *_: None, lambda client, _: client, patience=10.0, keep_alive=75.0, max_connections=1024
    )

    def connect(**_: object) -> Connection:
        return Connection(serving)

    http: Any = connect
    config = uvicorn.Config(
        app, http=http, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )
    server = uvicorn.Server(config)
    server.server_state = state
    uvloop.run(server.serve(sockets=[listen("127.0.0.1", int(sys.argv[1]))]))
