#!/usr/bin/env python3
"""Watches how long the machine stands still, until it is told to end or whoever started it is gone.

    scripts/stalls.py LOG

A loop that sleeps 2 ms notes each time that it slept 15 ms longer; it runs with real-time priority where that is permitted, so that
nothing but a machine that stands still can be the reason. Once a second it also looks at what the host has taken from each processor
(the steal time of /proc/stat). One line per stall: UTC, "late" or "stolen", milliseconds.
"""

import os
import signal
import sys
import time
from datetime import datetime, timezone

SLEEP_S = 0.002
LATE_MS = 15
# The host takes a little all the time: this much of a second is more than that.
STOLEN_MS = 50


def watch_closely():
    """Real-time priority, or else the highest of the usual ones that is permitted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "real-time priority"
    except (OSError, AttributeError):
        pass
    try:
        os.nice(-20)
        return "raised priority"
    except OSError:
        return "usual priority"


def stolen_ms():
    """What the host has taken from each processor so far."""
    per_tick = 1000 // os.sysconf("SC_CLK_TCK")
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            lines = [line.split() for line in stat if line.startswith("cpu") and line[3].isdigit()]
    except OSError:
        return []
    return [int(line[8]) * per_tick for line in lines if len(line) > 8]


def main(path):
    ends, parent = [], os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.append(True))
    with open(path, "a", encoding="ascii") as log:

        def note(kind, ms):
            utc = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            log.write(f"{utc}\t{kind}\t{ms}\n")
            log.flush()

        log.write(f"# watched with {watch_closely()}\n")
        log.flush()
        stolen, looked = stolen_ms(), time.monotonic()
        while not ends and os.getppid() == parent:
            before = time.monotonic()
            time.sleep(SLEEP_S)
            now = time.monotonic()
            late = round((now - before - SLEEP_S) * 1000)
            if late > LATE_MS:
                note("late", late)
            if now - looked >= 1:
                taken, looked = stolen_ms(), now
                most = max((new - old for new, old in zip(taken, stolen)), default=0)
                stolen = taken
                if most >= STOLEN_MS:
                    note("stolen", most)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: scripts/stalls.py LOG")
    main(sys.argv[1])
