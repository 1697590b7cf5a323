"""The figures that TCP and UDP are held to, and how they follow from the samples."""

import figures
from figures import Floor, Own, Ratio

FIGURES = [
    Ratio("bulk", "per_second", "bulk: throughput / better peer", at_least=1.3),
    Ratio("bulk", "per_second", "bulk: throughput / direct", at_least=0.6, peers=("direct",)),
    Ratio("messages", "cpu_ns_each", "64 bytes: CPU a round trip / better peer", at_most=0.75),
    Floor("messages", "cpu_ns_each", "64 bytes: CPU of a bare relay / better peer"),
    Ratio("connections", "per_second", "new connections a second / better peer", at_least=1.0),
    Floor("connections", "cpu_ns_each", "a new connection: CPU of a bare relay / better peer"),
    Ratio("datagrams", "per_second", "datagrams a second / nginx", at_least=1.5, peers=("nginx",)),
    Ratio("bursts", "per_second", "datagrams a second in bursts / nginx", at_least=1.5, peers=("nginx",)),
    Ratio("trains", "per_second", "datagrams a second as trains / nginx", at_least=1.5, peers=("nginx",)),
    Own("idle", "bytes_each", "an idle connection, bytes", 3 * 1024),
    Own("idle", "kernel_workers", "kernel worker threads", 0),
]


def outcomes(results):
    return figures.outcomes(results, FIGURES)
