"""Minimal servers for benchmarks/serving.py; each prints its URL.

raw FILE        a raw ASGI app on uvicorn that sends the file's bytes
litestar FILE   a bare Litestar handler on uvicorn that sends them
broadcast SIZE  the websockets library, one message of that many bytes per second to every client
"""

import asyncio
import contextlib
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Response, get
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed


def announce(port: int) -> None:
    print(f"http://127.0.0.1:{port}", flush=True)


def run(app: Any) -> None:
    config = uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, lifespan="off"
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        announce(listening.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listening])


def raw(body: bytes) -> Any:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def litestar(body: bytes) -> Any:
    @get("/fapi/v1/adlQuantile")
    async def handler() -> Response[bytes]:
        return Response(body, media_type="application/json")

    return Litestar([handler], openapi_config=None)


async def broadcasting(size: int) -> None:
    listening: set[Any] = set()

    async def handler(connection: Any) -> None:
        listening.add(connection)
        with contextlib.suppress(ConnectionClosed):  # clients disconnect without closing
            async for _ in connection:
                pass
        listening.discard(connection)

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        while True:
            await asyncio.sleep(1)
            text = f'{{"topic":"adlAlert.USDT","ts":{time.time_ns()},"pad":"{"x" * size}"}}'
            broadcast(listening, text)


def main() -> None:
    kind, argument = sys.argv[1:]
    if kind == "broadcast":
        asyncio.run(broadcasting(int(argument)))
    else:
        run({"raw": raw, "litestar": litestar}[kind](Path(argument).read_bytes()))


if __name__ == "__main__":
    main()
