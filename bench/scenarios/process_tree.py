"""CPU time and resident memory of a process with all its threads and children, from /proc."""

import os

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """The process `pid` and everything below it."""

    def __init__(self, pid):
        self.pid = pid

    def pids(self):
        """All of them, found by their parents: workers that are forked later are seen too."""
        children = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            parent = parent_of(entry)
            children.setdefault(parent, []).append(int(entry))
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue.extend(children.get(pid, []))
        return found

    def cpu_ns(self):
        """Time on a CPU since the start.

        The scheduler's own count (schedstat) has nanoseconds but forgets threads that ended; utime + stime keeps those,
        in ticks of 10 ms. The larger is the truth to within a tick.
        """
        return sum(max(scheduled_ns(pid), ticks(pid) * TICK_NS) for pid in self.pids())

    def rss_bytes(self):
        """Resident memory as the kernel counts it page by page (smaps_rollup), summed over the processes."""
        return sum(rollup(pid)["Rss"] for pid in self.pids())

    def pss_bytes(self):
        """As `rss_bytes`, with shared pages divided among those who share them."""
        return sum(rollup(pid)["Pss"] for pid in self.pids())


def parent_of(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def ticks(pid):
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def stat_fields(pid):
    """The fields of /proc/PID/stat after the name, which may itself hold spaces and brackets."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def scheduled_ns(pid):
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def rollup(pid):
    sizes = {"Rss": 0, "Pss": 0}
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                name, _, rest = line.partition(":")
                if name in sizes:
                    sizes[name] = int(rest.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return sizes


def machine_busy_ns():
    """Time that all CPUs of the machine were busy since it started, stolen time included."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_NS
