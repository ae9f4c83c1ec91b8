"""Faults of a running cluster; each returns when the cluster is whole again."""

import random
import signal
import time
from collections.abc import Callable

from replica_cluster import REPLICAS, STREAM, ReplicaCluster

SLOW_LINK_S = 0.05
"""Delay of every chunk between a slow replica and its broker."""


class FaultContext:
    """The cluster, the seed's choices, and how long a fault that heals lasts."""

    def __init__(self, cluster: ReplicaCluster, seed: int, hold_s: float) -> None:
        self.cluster = cluster
        self.brokers = cluster.brokers
        self.random = random.Random(seed)
        self.hold_s = hold_s

    def replica(self) -> int:
        return self.random.randrange(REPLICAS)

    def leader(self) -> int:
        return self.brokers.leader(STREAM)

    def follower(self) -> int:
        return (self.leader() + self.random.choice((1, 2))) % 3

    def hold(self) -> None:
        time.sleep(self.hold_s)  # the length of a fault is a time, as in an operator's report


def kill_replica(context: FaultContext) -> None:
    replica = context.replica()
    context.cluster.kill(replica)
    context.cluster.start(replica)
    context.cluster.wait_ready(replica)


def kill_all_replicas(context: FaultContext) -> None:
    for replica in range(REPLICAS):
        context.cluster.kill(replica)
    for replica in range(REPLICAS):
        context.cluster.start(replica)
    context.cluster.wait_ready(*range(REPLICAS))


def stop_replica(context: FaultContext) -> None:
    replica = context.replica()
    context.cluster.send(replica, signal.SIGSTOP)
    context.hold()
    context.cluster.send(replica, signal.SIGCONT)
    context.cluster.wait_ready(replica)


def restart_leading_broker(context: FaultContext) -> None:
    leader = context.leader()
    context.brokers.kill(leader, signal.SIGTERM)
    context.brokers.start(leader)
    context.leader()


def kill_leading_broker(context: FaultContext) -> None:
    leader = context.leader()
    context.brokers.kill(leader)
    context.brokers.start(leader)
    context.leader()


def kill_two_brokers(context: FaultContext) -> None:
    killed = sorted({0, 1, 2} - {context.follower()})
    for number in killed:
        context.brokers.kill(number)
    context.hold()
    for number in killed:
        context.brokers.start(number)
    context.leader()


def stop_leading_broker(context: FaultContext) -> None:
    leader = context.leader()
    context.brokers.send(leader, signal.SIGSTOP)
    context.hold()
    context.brokers.send(leader, signal.SIGCONT)
    context.leader()


def wipe_broker(context: FaultContext) -> None:
    number = context.follower()
    context.brokers.kill(number)
    context.brokers.wipe(number)
    context.brokers.start(number)
    context.leader()


def flip_bit_of_broker(context: FaultContext) -> None:
    """Damage a broker's file, let a replica read the whole log, then cure the broker."""
    number, replica = context.follower(), context.replica()
    context.brokers.kill(number, signal.SIGTERM)
    context.brokers.flip_bit(number, STREAM)
    context.brokers.start(number)
    context.leader()
    context.cluster.kill(replica)
    context.cluster.delete_journal(replica)
    context.cluster.start(replica)
    context.cluster.wait_ready(replica)
    context.brokers.kill(number, signal.SIGTERM)
    context.brokers.wipe(number)
    context.brokers.start(number)
    context.leader()


def cut_replica_off(context: FaultContext) -> None:
    _cut_off(context, f"r{context.replica()}")
    context.cluster.wait_ready(*range(REPLICAS))


def cut_leading_broker_off(context: FaultContext) -> None:
    _cut_off(context, f"n{context.leader()}")
    context.leader()


def _cut_off(context: FaultContext, end: str) -> None:
    links = context.cluster.links_of(end)
    context.cluster.proxy.cut(*links)
    context.hold()
    context.cluster.proxy.heal(*links)


def slow_replica(context: FaultContext) -> None:
    replica = context.replica()
    links = context.cluster.links_of(f"r{replica}")
    for link in links:
        link.delay_s = SLOW_LINK_S
    context.hold()
    for link in links:
        link.delay_s = 0
    context.cluster.wait_ready(replica)


Fault = Callable[[FaultContext], None]

FAULTS: dict[str, Fault] = {
    "kill -9 of a replica": kill_replica,
    "kill -9 of all replicas": kill_all_replicas,
    "SIGSTOP of a replica": stop_replica,
    "slow network of a replica": slow_replica,
    "a replica cut off from all brokers": cut_replica_off,
    "planned restart of the leading broker": restart_leading_broker,
    "kill -9 of the leading broker": kill_leading_broker,
    "kill -9 of two of three brokers": kill_two_brokers,
    "SIGSTOP of the leading broker": stop_leading_broker,
    "the leading broker cut off from all": cut_leading_broker_off,
    "a broker's disk wiped": wipe_broker,
    "a bit flipped in a broker's file": flip_bit_of_broker,
}
"""What `make chaos` does to a cluster; the last replica's clock is 10 s ahead all the time."""
