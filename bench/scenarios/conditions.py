"""Whether the machine was fit for measuring: what else ran, and what the kernel did besides."""

# Above this share of the machine, what ran beside makes the numbers good for debugging alone.
OTHERS_SHARE_MAX = 0.03
# So few are those of the machine's own housekeeping.
TRACKED_MAX = 100
TRACKED = "/proc/sys/net/netfilter/nf_conntrack_count"


def remarks(samples):
    """Sentences for the end of a report: none where the machine was quiet."""
    busy = max((sample.get("others_share", 0) for sample in samples), default=0)
    lines = []
    if busy > OTHERS_SHARE_MAX:
        lines.append(f"Other programs took up to {busy:.0%} of the machine meanwhile: good for debugging alone.")
    if tracked() > TRACKED_MAX:
        lines.append("The kernel tracked the connections, which costs every program some 9 %: see docs/benchmarking.md.")
    return lines


def tracked():
    """Connections that netfilter follows now; those that ended are among them for two minutes."""
    try:
        with open(TRACKED) as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
