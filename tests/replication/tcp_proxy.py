"""TCP connections that a test can cut or slow down, without either end being closed."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from waiting import PATIENCE_S

CHUNK_BYTES = 65_536

T = TypeVar("T")


class Link:
    """A port of 127.0.0.1 whose connections lead to another one."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay_s = 0.0
        self._passes = asyncio.Event()
        self._passes.set()
        self._server: asyncio.Server | None = None

    def set_cut(self, is_cut: bool) -> None:
        """Let nothing pass, as a network does that loses every packet, or all of it again."""
        (self._passes.clear if is_cut else self._passes.set)()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await self._passes.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(back)
            pumps = [self._pump(reader, back), self._pump(there, writer)]
            tasks = [asyncio.create_task(pump) for pump in pumps]
            await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
        except (OSError, asyncio.CancelledError):
            return  # nobody listens there, or the proxy ends
        finally:
            for each in writers:
                each.close()
            closed = (each.wait_closed() for each in writers)
            await asyncio.gather(*closed, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passes.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(chunk)
                await writer.drain()


class Proxy:
    """Links on an event loop in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def link(self, target: int) -> Link:
        """Return an open link to a port."""
        return self._call(self._open(target))

    def cut(self, *links: Link) -> None:
        self._set(links, is_cut=True)

    def heal(self, *links: Link) -> None:
        self._set(links, is_cut=False)

    def _set(self, links: tuple[Link, ...], *, is_cut: bool) -> None:
        for link in links:
            self._loop.call_soon_threadsafe(link.set_cut, is_cut)

    async def _open(self, target: int) -> Link:
        link = Link(target)
        await link.open()
        self._links.append(link)
        return link

    async def _close(self) -> None:
        """Close the ports, and end the tasks of every connection."""
        for link in self._links:
            link.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)
