"""Three nats-server processes on this machine, as a cluster with JetStream, and their faults."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from waiting import PATIENCE_S, wait_until

PROGRAM = Path(sys.executable).with_name("nats-server")

SETTINGS = """\
server_name: n{number}
listen: "127.0.0.1:{client}"
http: "127.0.0.1:{monitor}"
max_payload: {payload}
jetstream {{ store_dir: "{store}", sync_interval: always, max_file: 1GB }}
cluster {{
  name: venue, listen: "127.0.0.1:{route}", routes: [{routes}]
  no_advertise: true, advertise: "127.0.0.1:1"
}}
"""


class Brokers:
    """Three brokers; numbers are 0 to 2, ports are free ones of 127.0.0.1.

    They announce no addresses, so that nothing connects but by its configuration.
    """

    def __init__(self, folder: Path, payload: int = 1_000_000) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ports = free_ports(9)
        self.clients, self.routes, self._monitors = ports[:3], ports[3:6], ports[6:]
        self._payload = payload
        for number in range(3):
            self.configure(number, self.routes)

    def configure(self, number: int, routes: Iterable[int]) -> None:
        """Write the configuration of a broker, which reaches the others by ports alone."""
        settings = SETTINGS.format(
            number=number,
            client=self.clients[number],
            monitor=self._monitors[number],
            route=self.routes[number],
            routes=", ".join(f"nats://127.0.0.1:{port}" for port in routes),
            store=self.store(number),
            payload=self._payload,
        )
        (self._folder / f"n{number}.conf").write_text(settings)

    def store(self, number: int) -> Path:
        return self._folder / f"store{number}"

    def address(self, name: str = "venue") -> str:
        return f"nats://{','.join(f'127.0.0.1:{port}' for port in self.clients)}/{name}"

    def start(self, number: int) -> None:
        with (self._folder / f"n{number}.log").open("ab") as log:
            command = [PROGRAM, "-c", self._folder / f"n{number}.conf"]
            self._processes[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def start_all(self) -> None:
        for number in range(3):
            self.start(number)
        wait_until(self._are_ready, "JetStream of three brokers")

    def send(self, number: int, sent: signal.Signals) -> None:
        self._processes[number].send_signal(sent)

    def kill(self, number: int, sent: signal.Signals = signal.SIGKILL) -> None:
        self.send(number, sent)
        self._processes[number].wait(PATIENCE_S)

    def stop_all(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(PATIENCE_S)

    def wipe(self, number: int) -> None:
        shutil.rmtree(self.store(number))

    def block_files(self, number: int, name: str) -> list[Path]:
        """Return the files of a stream's messages, the oldest first."""
        found = self.store(number).rglob(f"streams/{name}/msgs/*.blk")
        return sorted(found, key=lambda path: int(path.stem))

    def flip_bit(self, number: int, name: str) -> None:
        """Flip a bit in the middle of the oldest messages of a broker that does not run."""
        path = self.block_files(number, name)[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def leader(self, name: str = "venue") -> int:
        """Return the broker that leads a stream with both followers current; wait for it."""
        wait_until(self._are_healthy, "three healthy brokers")
        return wait_until(lambda: self._leaders(name), "a leader with two followers")[0]

    def _leaders(self, name: str) -> list[int]:
        for number in range(3):
            details = self._monitor(number, "jsz?streams=1&accounts=1").get("account_details", [])
            for stream in (each for account in details for each in account["stream_detail"]):
                cluster = stream.get("cluster", {})
                current = [each for each in cluster.get("replicas", []) if each.get("current")]
                if stream["name"] == name and cluster.get("leader") and len(current) == 2:
                    return [int(cluster["leader"][1:])]
        return []

    def _are_healthy(self) -> bool:
        """Return whether every broker runs and has caught up with its streams."""
        return all(self._monitor(number, "healthz").get("status") == "ok" for number in range(3))

    def _are_ready(self) -> bool:
        found = [self._monitor(number, "jsz").get("meta_cluster", {}) for number in range(3)]
        return all(meta.get("leader") and meta.get("cluster_size") == 3 for meta in found)

    def _monitor(self, number: int, path: str) -> dict[str, Any]:
        try:
            with urlopen(f"http://127.0.0.1:{self._monitors[number]}/{path}", timeout=2) as answer:
                return dict(json.load(answer))
        except OSError:
            return {}


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens to."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running_brokers(folder: Path, payload: int = 1_000_000) -> Iterator[Brokers]:
    brokers = Brokers(folder, payload)
    try:
        brokers.start_all()
        yield brokers
    finally:
        brokers.stop_all()
