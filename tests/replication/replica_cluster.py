"""Three brokers and three servers of one log, as processes whose network is made of links."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import msgspec
from replica_process import serve_replica
from tcp_proxy import Link, Proxy

from brokers import Brokers, free_ports
from waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

REPLICAS = 3
STREAM = "venue"
FAST_CLOCK_MS = 10_000
"""How far the clock of the last replica is ahead."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["delever.server.app", "delever.replication.jetstream"])
"""Replicas are forks of a process that has imported the server: a start costs no seconds of CPU."""


class ReplicaCluster:
    """Brokers and replicas have numbers from 0; `links` are by their two ends, as in `r0-n2`."""

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self.folder = folder
        self.proxy = proxy
        self.brokers = Brokers(folder)
        self.links: dict[str, Link] = {}
        self._add_links()
        self._ports = free_ports(REPLICAS)
        self._processes: dict[int, ForkServerProcess] = {}

    def _add_links(self) -> None:
        for there in range(3):
            for replica in range(REPLICAS):
                link = self.proxy.link(self.brokers.clients[there])
                self.links[f"r{replica}-n{there}"] = link
            for here in {0, 1, 2} - {there}:
                self.links[f"n{here}-n{there}"] = self.proxy.link(self.brokers.routes[there])
        for here in range(3):
            others = {0, 1, 2} - {here}
            self.brokers.configure(here, [self.links[f"n{here}-n{o}"].port for o in others])

    def links_of(self, end: str) -> list[Link]:
        """Return the links of a broker or a replica, such as `n0` or `r2`."""
        return [link for name, link in self.links.items() if end in name.split("-")]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def journal(self, replica: int) -> Path:
        return self.folder / f"r{replica}.db"

    def delete_journal(self, replica: int) -> None:
        for path in self.folder.glob(f"r{replica}.db*"):
            path.unlink()

    def start(self, replica: int) -> None:
        """Start a replica, which prefers another broker than its peers."""
        servers = (f"127.0.0.1:{self.links[f'r{replica}-n{n % 3}'].port}" for n in _from(replica))
        path, address = str(self.journal(replica)), f"nats://{','.join(servers)}/{STREAM}"
        config = {
            "listen": {"port": self._ports[replica], "shutdown_ms": 2_000},
            "journal": {"path": path, "log": address, "replica": f"r{replica}"},
            "publication": {"indicators_interval_ms": 5_000},
            "logs": {"level": "warning"},
        }
        fast_ms = FAST_CLOCK_MS if replica == REPLICAS - 1 else 0
        arguments = (msgspec.json.encode(config), fast_ms, self.folder / f"r{replica}.log")
        process = _forks.Process(target=serve_replica, args=arguments, daemon=True)
        process.start()
        self._processes[replica] = process

    def kill(self, replica: int, sent: signal.Signals = signal.SIGKILL) -> None:
        self.send(replica, sent)
        self._processes[replica].join(PATIENCE_S)

    def send(self, replica: int, sent: signal.Signals) -> None:
        if pid := self._processes[replica].pid:
            os.kill(pid, sent)

    def is_ready(self, replica: int) -> bool:
        if not self._processes[replica].is_alive():
            raise AssertionError((self.folder / f"r{replica}.log").read_text())
        try:
            url = f"{self.urls[replica]}/v1/ready"
            return httpx2.get(url, timeout=PATIENCE_S).status_code == 200
        except httpx2.TransportError:
            return False

    def wait_ready(self, *replicas: int) -> None:
        for replica in replicas:
            wait_until(lambda replica=replica: self.is_ready(replica), f"replica {replica} ready")

    def stop(self) -> None:
        """Stop the replicas, so that their journals are closed."""
        for replica, process in self._processes.items():
            if process.is_alive():
                self.send(replica, signal.SIGCONT)
                self.kill(replica, signal.SIGTERM)


def _from(first: int) -> range:
    return range(first, first + 3)


@contextmanager
def running_cluster(folder: Path) -> Iterator[ReplicaCluster]:
    with ExitStack() as stack:
        cluster = ReplicaCluster(folder, stack.enter_context(Proxy()))
        stack.callback(cluster.brokers.stop_all)
        cluster.brokers.start_all()
        stack.callback(cluster.stop)
        for replica in range(REPLICAS):
            cluster.start(replica)
        cluster.wait_ready(*range(REPLICAS))
        yield cluster
