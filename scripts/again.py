#!/usr/bin/env python3
"""Judges a run of `cargo test`, and runs again alone what a machine that stood still may have made fail.

    cargo test … 2>&1 | scripts/again.py note LOG
        passes the output on, and keeps it in LOG with the time of each line.
    scripts/again.py judge LOG [STALLS ARGUMENT …]
        prints "PASSED FAILED", and a line for each test that failed. With STALLS (the log of scripts/stalls.py) a failure of an
        integration test is repeated alone up to two times with `cargo test --release ARGUMENT … --test SUITE -- --exact NAME`.

Never repeated are: forbidden sound and everything else that says FINAL, also when it is said by a repetition; what runs in virtual
time, which no stall can reach; unit tests, doc tests, and whatever does not build or dies; anything, if many tests have failed.
"""

import re
import subprocess
import sys
import time
from datetime import datetime, timezone

REPETITIONS = 2
# More failures than this are no accident, and none of them is repeated.
ACCIDENTS = 10
# A stall counts for a failure that was told so long after it, seconds.
MEANWHILE_S = 60

FINAL = re.compile(
    r"forbidden sound|\bleak|FirstLeak|not silent: packet|expected:? Silent\b|ASIDE_SEED|\bBreach\b|\bmutant|\bmutation", re.IGNORECASE
)
# None: every suite of the package.
VIRTUAL_TIME = {
    "call": None,
    "conference": None,
    "media": {"allocation", "control", "hearing", "lanes", "mutations", "network", "tap_histories", "taps"},
    "system-tests": {"hearing", "twins"},
}

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TITLE = re.compile(r"^\s+(?:Running (.*) \((.*)\)|Doc-tests (\S+))$")
FAILED = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. .*FAILED$")
WHOLE = re.compile(r"^test .* \.\.\. (?:ok|ignored.*)$|^running \d+ tests?$")
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;")
RERUN = re.compile(r"^error: (?:doc)?test failed, to rerun pass `(.*)`")
TARGET = re.compile(r"(?:-p (\S+) )?--test (\S+)")
# Where a test stood when it panicked names it, and so does its file: a name is no verdict.
WHERE = re.compile(r"^thread '.*' .*panicked at .*$|^note: .*$|^\s+(?:at |\d+: ).*$")


class Suite:
    """What one test program said."""

    def __init__(self, title):
        self.title = title
        self.package = self.name = None
        self.counts = None
        self.told_at = {}
        self.headings = 0
        self.listed = []
        self.said = {}
        self.loose = []
        self.failed = False

    def may_be_repeated(self, test):
        virtual = VIRTUAL_TIME.get(self.package, set())
        if self.name is None or virtual is None or self.name in virtual:
            return False
        # Every failure is known by name, and nothing was said that could be the verdict of any of them.
        known = self.counts is not None and self.counts[1] == len(self.listed) == len(set(self.listed))
        return known and test in self.said and not is_final(self.loose) and not is_final(self.said[test])


def is_final(lines):
    return any(FINAL.search(line) for line in lines if not WHERE.match(line))


def read(lines):
    """The suites of a run; `lines` are pairs of a time and a line."""
    suites, suite, section, listing = [], None, None, False
    for at, line in lines:
        line = ANSI.sub("", line.rstrip("\n"))
        title = TITLE.match(line)
        if title:
            suite, section, listing = Suite(title[1] or f"doc-tests {title[3]}"), None, False
            suites.append(suite)
            continue
        if suite is None:
            continue
        rerun, result, failed = RERUN.match(line), RESULT.match(line), FAILED.match(line)
        head = re.match(r"^---- (.+) stdout ----$", line)
        if rerun:
            suite.failed, section, listing = True, None, False
            target = TARGET.search(rerun[1])
            if target:
                suite.package, suite.name = target[1], target[2]
        elif result and suite.counts is None:
            suite.counts, section, listing = (int(result[1]), int(result[2])), None, False
            for name in suite.listed:
                suite.told_at.setdefault(name, at)
        elif head:
            section = suite.said.setdefault(head[1], [])
        elif line == "failures:":
            # Once before what the tests said, once before their names.
            suite.headings += 1
            section, listing = None, suite.headings == 2
        elif listing and line.startswith("    "):
            suite.listed.append(line.strip())
        elif section is not None:
            section.append(line)
        elif failed:
            suite.told_at[failed[1]] = at
        elif not WHOLE.match(line):
            suite.loose.append(line)
    return suites


def stalls(path):
    """Times and lengths (ms) in a log of scripts/stalls.py."""
    found = []
    with open(path, encoding="ascii") as log:
        for line in log:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 3:
                found.append((datetime.fromisoformat(fields[0]).timestamp(), int(fields[2])))
    return found


def repeat(arguments, suite, test):
    """Runs one test alone: whether it passed, and what was said."""
    command = ["cargo", "test", "--release", *arguments, "--test", suite.name, "--", "--exact", test]
    utc = datetime.now(timezone.utc).strftime("%H:%M:%S")
    print(f"== again at {utc} UTC: {' '.join(command)}", file=sys.stderr, flush=True)
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    sys.stderr.write(ran.stdout)
    sys.stderr.flush()
    lines = ran.stdout.splitlines()
    passed = sum(int(result[1]) for result in map(RESULT.match, lines) if result)
    return ran.returncode == 0 and passed == 1, lines


def passes_again(run, suite, test):
    """How often it failed before it passed; None if it did not, or a repetition said what is final."""
    for failures in range(1, REPETITIONS + 1):
        passed, lines = run(suite, test)
        if passed:
            return failures
        if is_final(lines):
            return None
    return None


def judge(suites, standing_still, run):
    """Counts of passed and failed, and a line for every test that failed. `run` repeats a test; None: nothing is repeated."""
    passed = failed = 0
    lines = []
    if sum(suite.counts[1] for suite in suites if suite.counts) > ACCIDENTS:
        run = None
    for suite in suites:
        if suite.counts is None:
            if suite.failed:
                failed += 1
                lines.append(f"failed: {suite.title}: it did not come to its end")
            continue
        passed += suite.counts[0]
        failed += suite.counts[1]
        named = f"{suite.name or suite.title} "
        for test in suite.listed:
            again = passes_again(run, suite, test) if run and suite.may_be_repeated(test) else None
            if again is None:
                lines.append(f"failed: {named}{test}")
                continue
            passed, failed = passed + 1, failed - 1
            told = suite.told_at[test]
            meanwhile = [ms for at, ms in standing_still if told - MEANWHILE_S <= at <= told]
            times = "once" if again == 1 else "twice"
            if meanwhile:
                still = f"the machine stood still {len(meanwhile)} times for up to {max(meanwhile)} ms meanwhile"
                lines.append(f"again: {named}{test} (failed {times}, {still})")
            else:
                lines.append(f"unstable: {named}{test} failed {times} without a stall")
        lines += [f"failed: {named}(a test without a name)"] * (suite.counts[1] - len(suite.listed))
        if suite.failed and suite.counts[1] == 0:
            failed += 1
            lines.append(f"failed: {suite.title}: it did not end well")
    return passed, failed, lines


def note(path):
    with open(path, "w", encoding="utf-8") as log:
        for line in sys.stdin.buffer:
            line = line.decode("utf-8", "replace")
            sys.stdout.write(line)
            sys.stdout.flush()
            log.write(f"{time.time():.3f}\t{line}")
            log.flush()


def noted(path):
    with open(path, encoding="utf-8") as log:
        for line in log:
            at, _, text = line.partition("\t")
            yield float(at), text


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "note":
        note(arguments[1])
    elif len(arguments) >= 2 and arguments[0] == "judge":
        suites = read(noted(arguments[1]))
        if len(arguments) == 2:
            report(judge(suites, [], None))
        else:
            selection = arguments[3:]
            report(judge(suites, stalls(arguments[2]), lambda suite, test: repeat(selection, suite, test)))
    else:
        sys.exit(__doc__)


def report(verdict):
    passed, failed, lines = verdict
    print(passed, failed)
    for line in lines:
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
