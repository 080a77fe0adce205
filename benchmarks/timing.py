"""Processor time of a call: the median of several warm runs."""

import statistics
import time


def seconds(call, budget=2.0):
    """Time a call by the processor, at least three times and up to `budget` seconds (once where it takes longer).

    The machine may be shared: processor time does not grow when others work, as clock time does. All programs run
    with one thread.
    """
    start = time.process_time()
    call()
    first = time.process_time() - start
    if first > 2 * budget:
        return first
    inner = max(1, int(0.02 / max(first, 1e-6)))
    runs = min(25, max(3, int(budget / max(first * inner, 1e-3))))
    found = []
    for _ in range(runs):
        start = time.process_time()
        for _ in range(inner):
            call()
        found.append((time.process_time() - start) / inner)
    return statistics.median(found)
