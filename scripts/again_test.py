#!/usr/bin/env python3
"""Which failures `again.py` repeats, which it never does, and how it counts them."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
import again  # noqa: E402

START = 1_700_000_000.0


def panicked(test, *said):
    return [f"---- {test} stdout ----", "", f"thread '{test}' (71) panicked at tests/tests/rooms/sounds.rs:98:9:", *said, ""]


def suite(outcomes, path="tests/rooms.rs", rerun="-p system-tests --test rooms", loose=()):
    """A test program's output as cargo passes it on. `outcomes`: test to what it said, or None if it passed."""
    bad = {test: said for test, said in outcomes.items() if said is not None}
    lines = [f"     Running {path} (target/release/deps/rooms-3f1c)", "", f"running {len(outcomes)} tests", *loose]
    lines += [f"test {test} ... {'FAILED' if test in bad else 'ok'}" for test in outcomes]
    if bad:
        lines += ["", "failures:", ""]
        for test, said in bad.items():
            lines += panicked(test, *said) if said else []
        lines += ["", "failures:", *(f"    {test}" for test in bad)]
    word = "FAILED" if bad else "ok"
    lines += ["", f"test result: {word}. {len(outcomes) - len(bad)} passed; {len(bad)} failed; 0 ignored; 0 measured; 0 filtered out", ""]
    if bad:
        lines.append(f"error: test failed, to rerun pass `{rerun}`")
    return lines


def judged(lines, repetitions=(), stalls=()):
    """The verdict on output of which each line comes a second after the one before; `repetitions` are (passed, lines)."""
    repetitions, asked = list(repetitions), []

    def run(suite, test):
        asked.append((suite.package, suite.name, test))
        return repetitions.pop(0)

    timed = [(START + second, line + "\n") for second, line in enumerate(lines)]
    return (*again.judge(again.read(timed), list(stalls), run), asked)


LATE = ["it took 812 ms"]
PASSES, FAILS = (True, []), (False, LATE)


class Again(unittest.TestCase):
    def test_a_run_without_failures_is_counted(self):
        lines = suite({"a": None, "b": None}) + suite({"c": None}, path="unittests src/lib.rs")
        self.assertEqual(judged(lines), (3, 0, [], []))

    def test_what_failed_while_the_machine_stood_still_and_passes_counts_once_as_passed(self):
        lines = suite({"sounds::a": None, "sounds::b": LATE})
        stalls = [(START - 100, 500), (START + 2, 62), (START + 3, 80)]
        passed, failed, said, asked = judged(lines, [PASSES], stalls)
        self.assertEqual((passed, failed), (2, 0))
        self.assertEqual(asked, [("system-tests", "rooms", "sounds::b")])
        still = "the machine stood still 2 times for up to 80 ms meanwhile"
        self.assertEqual(said, [f"again: rooms sounds::b (failed once, {still})"])

    def test_without_a_stall_it_is_called_unstable(self):
        passed, failed, said, asked = judged(suite({"a": LATE}), [FAILS, PASSES])
        self.assertEqual((passed, failed, len(asked)), (1, 0, 2))
        self.assertEqual(said, ["unstable: rooms a failed twice without a stall"])

    def test_what_fails_three_times_has_failed(self):
        passed, failed, said, asked = judged(suite({"a": LATE}), [FAILS, FAILS], [(START + 1, 80)])
        self.assertEqual((passed, failed, said, len(asked)), (0, 1, ["failed: rooms a"], 2))

    def test_forbidden_sound_is_never_repeated(self):
        for verdict in [
            "the customer: forbidden sound: not silent: packet 3, byte 0 is 0xfe instead of 0xff",
            "customer ← coach: expected Silent, measured Some(Partly { min: -60.0, max: -20.0, max_1s: -30.0 })",
            'who was moved: Err(FirstLeak { packet: 1, byte: 2, value: 3, silence: 255, at: None })',
            "seed 7: at 20 ms: phone 1 is heard\nagain: ASIDE_SEED=7 (and as a written history:)",
            "the mutant that mixes everybody survives",
        ]:
            passed, failed, said, asked = judged(suite({"a": verdict.split("\n"), "b": None}), [PASSES])
            self.assertEqual((passed, failed, said, asked), (1, 1, ["failed: rooms a"], []), verdict)

    def test_a_leak_said_outside_of_any_test_spoils_the_whole_suite(self):
        lines = suite({"a": LATE}, loose=["thread 'tokio' (9) panicked at x.rs:1:1:", "forbidden sound: 600 Hz was heard"])
        self.assertEqual(judged(lines, [PASSES]), (0, 1, ["failed: rooms a"], []))

    def test_a_leak_in_a_repetition_is_final(self):
        leaks = (False, ["the customer: forbidden sound: 600 Hz was heard at -20.0 dBFS"])
        passed, failed, _, asked = judged(suite({"a": LATE}), [leaks, PASSES])
        self.assertEqual((passed, failed, len(asked)), (0, 1, 1))

    def test_a_name_and_a_place_are_no_verdict(self):
        lines = suite({"one_leaked_packet_trips": ["it took 812 ms"]})
        self.assertEqual(judged(lines, [PASSES])[:2], (1, 0))

    def test_unit_tests_and_what_runs_in_virtual_time_are_not_repeated(self):
        for rerun in ["-p media --lib", "-p audio --doc", "-p media --test hearing", "-p system-tests --test twins", "-p call --test interpreter"]:
            passed, failed, _, asked = judged(suite({"a": LATE}, rerun=rerun), [PASSES])
            self.assertEqual((passed, failed, asked), (0, 1, []), rerun)

    def test_a_program_that_dies_has_failed(self):
        died = suite({"a": None})[:3] + ["error: test failed, to rerun pass `-p system-tests --test rooms`", "", "Caused by: signal: 6"]
        passed, failed, said, asked = judged(died + suite({"b": LATE}), [PASSES])
        self.assertEqual((passed, failed, len(asked)), (1, 1, 1))
        self.assertIn("failed: tests/rooms.rs: it did not come to its end", said)

    def test_a_program_that_dies_after_its_tests_has_failed(self):
        lines = suite({"a": None}) + ["error: test failed, to rerun pass `-p system-tests --test rooms`"]
        self.assertEqual(judged(lines)[:2], (1, 1))

    def test_failures_that_are_not_all_known_by_name_are_not_repeated(self):
        lines = [line for line in suite({"a": LATE, "b": LATE}) if line != "    b"]
        passed, failed, said, asked = judged(lines, [PASSES, PASSES])
        self.assertEqual((passed, failed, asked), (0, 2, []))
        self.assertEqual(said, ["failed: rooms a", "failed: rooms (a test without a name)"])

    def test_many_failures_are_no_accident(self):
        lines = suite({f"t{number}": LATE for number in range(again.ACCIDENTS + 1)})
        passed, failed, said, asked = judged(lines, [PASSES] * len(lines))
        self.assertEqual((passed, failed, len(said), asked), (0, 11, 11, []))

    def test_a_test_that_said_nothing_is_not_repeated(self):
        passed, failed, said, asked = judged(suite({"a": []}), [PASSES])
        self.assertEqual((passed, failed, said, asked), (0, 1, ["failed: rooms a"], []))

    def test_colours_and_lines_between_are_passed_over(self):
        lines = ["   Compiling x v0.1.0", "warning: unused"] + [f"\x1b[1m{line}\x1b[0m" for line in suite({"a": LATE}, loose=["noise"])]
        self.assertEqual(judged(lines, [PASSES])[:2], (1, 0))


if __name__ == "__main__":
    unittest.main()
