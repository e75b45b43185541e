#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Tests of what tests/bench makes of its samples: figures.py, the tables, the plots, the documents.

usage: check_figures.py               prints TAP
       check_figures.py --made FILE   writes an overhead.json with made-up samples
"""

import contextlib
import copy
import io
import itertools
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import unittest

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "tests" / "bench"
sys.path.insert(0, str(BENCH))

import figures  # noqa: E402
import overhead_plot  # noqa: E402
import overhead_report  # noqa: E402
import overhead_tables as tables  # noqa: E402
import wording  # noqa: E402

REPORT = BENCH / "overhead_report.py"


# --- made-up samples ------------------------------------------------------------------------------

# What each adds to a call, in ns.
ADDED = {"untraced": 0, "floor": 40, "socktrace count": 25, "socktrace full": 55, "bpftrace": 400,
         "syscount": 300, "syscount -L": 350, "perf trace": 2000, "strace": 60000}
BETWEEN = {"gateway epoll": 3000, "redis": 5000}  # ns of a load between two calls
STEPS = ["untraced", "empty", "clock", "or hashes by tid"]
HARM = "a|b`c`<img src=x>\x1b[31m*d*\n- e [f](http://g) 'h' @x \u202e"


def comparison(noise):
    loads = {"getppid": 74, "bystander": 74, **BETWEEN}
    for r, (load, base), tracer in itertools.product(range(6), loads.items(), ADDED):
        added = min(ADDED[tracer], 42) if load == "bystander" else ADDED[tracer]
        ns = (base + added) * noise()
        is_loop = load in ("getppid", "bystander")
        knows = tracer not in ("untraced", "floor") and load != "bystander"
        truth = None if load == "bystander" else 10000 + r
        yield {"round": r, "order": 0, "load": load, "tracer": tracer, "failed": None, "figures": {
            "ns_per_call": ns if is_loop else None, "per_s": None if is_loop else 1e9 / ns,
            "p99_ns": None if is_loop else 9 * ns, "truth_calls": truth,
            "counted_calls": truth - 7 * (tracer == "perf trace") if knows else None,
            "tool_cpu_ns": None if tracer == "untraced" else int(8e7 * noise()),
            "tool_rss_bytes": None if tracer == "untraced" else 7 << 20,
            "start_ns": None if tracer == "untraced" else int(2e8 * noise())}}


def growth(noise):
    axes = {"threads": (1, 10, 10000), "switches": (0, 1000, 50000), "interval": (None, "1 s")}
    subjects = {"untraced": 0, "floor": 40, "full": 56, "count": 26}
    for r, axis in itertools.product(range(6), axes):
        for x, (subject, added) in itertools.product(axes[axis], subjects.items()):
            yield {"round": r, "axis": axis, "x": x, "subject": subject,
                   "figures": {"ns_per_call": (74 + added) * noise(), "rss_bytes": 5 << 20}}


def made_up():
    """The same at every call."""
    dice = random.Random(1)

    def noise():
        return dice.uniform(0.98, 1.02)

    snapshot = [{"round": r, "axis": axis, "rows": n, "failed": None, "figures": {
                     "ns": (50_000 + 900 * n) * noise(), "bytes": 2000,
                     "json_ns": (50_000 + 9000 * n) * noise(), "json_bytes": 400 * n}}
                for r in range(6)
                for axis, n in (("threads", 1), ("threads", 10000), ("sockets", 50))]
    split = [{"round": r, "load": load, "step": step, "ns_per_call": ns * noise()}
             for r in range(11) for load in ("getppid", "switch")
             for step, ns in zip(STEPS, (74, 114, 160, 190))]
    encoding = [{"round": r, "build": build, "format": form, "rows": 1000, "bytes": 1000 * size,
                 "ns": 1000 * ns * noise() / (1.1 if build == "pgo" else 1)}
                for r in range(7) for build in ("plain", "pgo")
                for form, size, ns in (("json", 400, 2000), ("csv", 200, 1000))]
    return {
        "format": "socktrace-overhead", "version": 1,
        "made": {"commit": "0123456789ab", "is_clean": True, "version": "0.1.0",
                 "compiler": "gcc 12", "started": "2026-01-02T03:04:05Z", "seconds": 700.25},
        "machine": {"cpu": "A CPU", "cpus": 2, "kernel": "6.18", "memory_bytes": 8 << 30,
                    "virtualization": None, "bpf_stats_enabled": 0},
        "seed": 1, "quick": False,
        "tools": [{"name": "strace", "version": "6.1", "package": "strace", "absent": None},
                  {"name": "sysdig", "version": None, "package": "sysdig", "absent": HARM}],
        "sections": {
            "comparison": {"rounds": 6, "samples": list(comparison(noise))},
            "growth": {"rounds": 6, "samples": list(growth(noise))},
            "snapshot": {"rounds": 6, "samples": snapshot},
            "split": {"rounds": 11, "steps": STEPS,
                      "samples": split},
            "encoding": {"rounds": 7, "samples": encoding}}}


def cells(block, first):
    """Of the first row of a table that begins with @first."""
    for line in block.splitlines():
        row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if row and row[0] == first:
            return row
    raise AssertionError(f"no row {first} in:\n{block}")


def change(report, where, **figures_of):
    for sample in report["sections"]["comparison"]["samples"]:
        if where(sample):
            sample["figures"].update(figures_of)


# --- figures.py -----------------------------------------------------------------------------------

class Intervals(unittest.TestCase):
    def test_ranks_are_those_of_the_binomial_tables(self):
        for n, ranks, percent in ((6, (1, 6), 96.9), (7, (1, 7), 98.4), (8, (1, 8), 99.2),
                                  (9, (2, 8), 96.1), (11, (2, 10), 98.8), (15, (4, 12), 96.5),
                                  (20, (6, 15), 95.9), (25, (8, 18), 95.7)):
            with self.subTest(n):
                self.assertEqual(figures.interval_ranks(n), ranks)
                self.assertEqual(round(100 * figures.coverage(n, ranks[0]), 1), percent)

    def test_fewer_than_six_rounds_give_no_interval(self):
        for n in range(1, 6):
            with self.subTest(n):
                self.assertIsNone(figures.interval_ranks(n))
                e = figures.estimate(range(n))
                self.assertEqual((e.low, e.high, e.rounds), (None, None, n))

    def test_the_interval_is_the_narrowest_that_is_sure_enough(self):
        for n in range(6, 60):
            k = figures.interval_ranks(n)[0]
            self.assertGreaterEqual(figures.coverage(n, k), 0.95)
            self.assertLess(figures.coverage(n, k + 1), 0.95)

    def test_it_holds_the_median_as_often_as_it_says(self):
        dice = random.Random(7)
        tries = 4000
        for n in (6, 9):
            estimates = (figures.estimate([dice.expovariate(1) for _ in range(n)])
                         for _ in range(tries))
            held = sum(e.low <= 0.693147 <= e.high for e in estimates)  # ln 2: the true median
            said = figures.coverage(n, figures.interval_ranks(n)[0])
            self.assertAlmostEqual(held / tries, said, delta=0.012)

    def test_estimates_do_not_depend_on_order(self):
        values = [5, 1, 9, 3, 7, 2, 8, 4, 6]
        self.assertEqual(figures.estimate(values), figures.Estimate(5, 2, 8, 9))
        self.assertEqual(figures.estimate(dict(enumerate(values))), figures.Estimate(5, 2, 8, 9))
        self.assertEqual(figures.estimate([4, 1, 3, 2, 6, 5]), figures.Estimate(3.5, 1, 6, 6))

    def test_no_samples_are_no_figure(self):
        with self.assertRaises(figures.NoSamples):
            figures.estimate([])

    def test_a_claim_must_be_true_of_the_whole_interval(self):
        e = figures.Estimate(1.4, 1.2, 1.6, 6)
        self.assertFalse(e.holds(lambda x: x <= 1.5))
        self.assertTrue(e.holds(lambda x: x <= 1.6))
        self.assertTrue(figures.Estimate(1.4, None, None, 3).holds(lambda x: x <= 1.5))


class Paired(unittest.TestCase):
    def test_only_the_same_round_is_compared(self):
        self.assertEqual(figures.ratio({1: 10, 2: 30, 4: 8}, {2: 10, 1: 20, 3: 5}), {1: 0.5, 2: 3})
        self.assertEqual(figures.added({1: 10, 2: 30}, {2: 10}), {2: 20})

    def test_a_median_of_ratios_is_not_a_ratio_of_medians(self):
        a, b = {1: 1, 2: 10, 3: 100}, {1: 2, 2: 10, 3: 50}
        self.assertEqual(figures.estimate(figures.ratio(a, b)).median, 1)
        a[1] = 200
        self.assertEqual(figures.estimate(figures.ratio(a, b)).median, 2)
        self.assertEqual(statistics.median(a.values()) / statistics.median(b.values()), 10)

    def test_noise_common_to_a_round_cancels(self):
        dice = random.Random(3)
        machine = {r: dice.uniform(0.5, 2) for r in range(9)}
        series = [{r: ns * slow for r, slow in machine.items()} for ns in (134, 74, 114)]
        e = figures.estimate(figures.relative_cost(*series))
        for value in (e.low, e.median, e.high):
            self.assertAlmostEqual(value, 1.5)

    def test_r_is_one_for_the_floor_and_nought_for_nothing(self):
        u, f = {1: 70, 2: 80}, {1: 110, 2: 130}
        self.assertEqual(figures.relative_cost(f, u, f), {1: 1, 2: 1})
        self.assertEqual(figures.relative_cost(u, u, f), {1: 0, 2: 0})

    def test_no_r_where_noise_swallowed_the_floor(self):
        with self.assertRaisesRegex(figures.Undefined, "1 of 2 rounds"):
            figures.relative_cost({1: 90, 2: 90}, {1: 70, 2: 80}, {1: 110, 2: 80})

    def test_no_ratio_to_nothing(self):
        with self.assertRaises(figures.Undefined):
            figures.ratio({1: 1, 2: 2}, {1: 1, 2: 0})


class Counts(unittest.TestCase):
    def test_exact_only_if_every_round_is(self):
        truth = dict.fromkeys(range(6), 10**9)
        self.assertTrue(figures.counts(dict(truth), truth).is_exact)
        counted = {**truth, 3: 10**9 - 1}
        counts = figures.counts(counted, truth)
        self.assertFalse(counts.is_exact)
        self.assertEqual((counts.share, counts.lowest, counts.highest, counts.rounds),
                         (1, 1 - 1e-9, 1, 6))

    def test_errors_that_cancel_are_not_exact(self):
        self.assertFalse(figures.counts({1: 9, 2: 11}, {1: 10, 2: 10}).is_exact)

    def test_nothing_made_and_nothing_counted_agree(self):
        self.assertTrue(figures.counts({1: 0}, {1: 0}).is_exact)
        with self.assertRaises(figures.Undefined):
            figures.counts({1: 1}, {1: 0})
        with self.assertRaises(figures.NoSamples):
            figures.counts({1: 1}, {2: 1})


class Ranking(unittest.TestCase):
    def test_highest_first_and_ties_are_said(self):
        fast = dict(enumerate((100, 101, 99, 100, 102, 98)))
        near = dict(enumerate((99, 102, 98, 99, 103, 97)))
        slow = {r: x / 2 for r, x in fast.items()}
        self.assertEqual(figures.ranking({"slow": slow, "near": near, "fast": fast, "none": {}}),
                         [("fast", False), ("near", False), ("slow", True)])

    def test_few_rounds_tell_nothing_apart(self):
        self.assertEqual(figures.ranking({"a": {1: 5}, "b": {1: 1}}), [("a", False), ("b", False)])


# --- wording and tables ---------------------------------------------------------------------------

class Wording(unittest.TestCase):
    def test_what_comes_from_outside_stays_text(self):
        line = wording.table(["head"], [[HARM]]).splitlines()[-1]
        self.assertEqual(len(re.split(r"(?<!\\)\|", line)), 3)
        self.assertNotRegex(line, r"(?<!\\)[`*\[\]<@]")
        self.assertNotIn("://", line.replace("\\://", ""))
        for character in "\x1b\u202e\n":
            self.assertNotIn(character, line)
        self.assertIn(r"\\u001b", line)

    def test_a_backslash_cannot_undo_an_escape(self):
        self.assertEqual(wording.markdown("\\|"), "\\\\\\|")

    def test_columns_that_nobody_fills_are_left_out(self):
        self.assertEqual(wording.table(["a", "b", "c"], [[1, "—", None], [2, "—", 3]]),
                         "| a | c |\n| --- | --- |\n| 1 |  |\n| 2 | 3 |\n")
        self.assertEqual(wording.table(["a"], []), "")

    def test_numbers_have_three_digits_that_count(self):
        for x, text in ((0.98765, "0.988"), (0.012345, "0.0123"), (74.26, "74.3"),
                        (123456, "123,456"), (0, "0"), (-41.9, "-41.9")):
            self.assertEqual(wording.number(x), text)

    def test_units_are_of_the_median_for_all_three(self):
        e = figures.Estimate(1500, 900, 2100, 6)
        self.assertEqual(wording.in_ns(e), "1.50 µs (0.900 to 2.10)")
        self.assertEqual(wording.in_bytes(figures.Estimate(7 << 20, None, None, 1)), "7.00 MiB")
        self.assertEqual(wording.in_ns(figures.Estimate(-0.5, None, None, 1)), "-0.500 ns")


class Tables(unittest.TestCase):
    def setUp(self):
        self.report = made_up()

    def targets(self):
        rows = tables.targets(self.report).splitlines()[2:]
        return {tuple(row.split(" | ")[:2]): row.split(" | ")[3].rstrip(" |")
                for row in (row.removeprefix("| ") for row in rows)}

    def test_summary_has_every_tracer_and_load(self):
        block = tables.summary(self.report)
        head = cells(block, "tracer")
        self.assertEqual(head[1:], ["getppid", "bystander", "gateway epoll", "redis", "counts"])
        for tracer in set(ADDED) - {"untraced"}:
            self.assertEqual(len(cells(block, tracer)), len(head))
        self.assertEqual(cells(block, "socktrace full")[-1], "3 of 3 exact")
        self.assertEqual(cells(block, "perf trace")[-1], "0 of 3 exact")
        self.assertEqual(cells(block, "floor")[-1], "—")

    def test_throughput_is_of_calls_where_there_is_no_rate(self):
        kept = float(cells(tables.summary(self.report), "strace")[1].split(" ")[0])
        self.assertAlmostEqual(kept, 74 / 60074, delta=0.0001)

    def test_one_call_less_in_one_round_is_not_exact(self):
        change(self.report, lambda s: (s["load"], s["tracer"], s["round"]) ==
               ("redis", "socktrace full", 2), counted_calls=10**12, truth_calls=10**12 + 1)
        row = cells(tables.comparison_tables(self.report).split("### redis")[1], "socktrace full")
        self.assertRegex(row[-1], r"^0\.999999999999\d* |^1 \(0\.999999999999\d* to 1\)")
        self.assertEqual(self.targets()["calls counted = calls made", "every load, both details"],
                         "missed")

    def test_a_failed_round_is_no_sample_and_is_named(self):
        for sample in self.report["sections"]["comparison"]["samples"]:
            if sample["tracer"] == "socktrace full" and sample["load"] == "redis":
                if sample["round"] == 0:
                    sample["failed"] = HARM
        block = tables.problems(self.report)
        self.assertEqual(cells(block, "socktrace full")[1:3], ["redis", "1 of 6 rounds"])
        self.assertEqual(cells(block, "sysdig")[2], "absent")
        self.assertIn("exact in 5, failed in 1", tables.comparison_tables(self.report))
        self.assertEqual(self.targets()["calls counted = calls made", "every load, both details"],
                         "missed")

    def test_a_tracer_that_never_ran_has_no_figures(self):
        for sample in self.report["sections"]["comparison"]["samples"]:
            if sample["tracer"] == "strace":
                sample.update(failed="other" if sample["load"] == "redis" else "broken",
                              figures={})
        self.assertEqual(cells(tables.summary(self.report), "strace")[1:],
                         ["failed"] * 4 + ["—"])
        rows = [row for row in tables.problems(self.report).splitlines() if "| strace |" in row]
        self.assertEqual(len(rows), 2)
        self.assertIn("bystander, gateway epoll, getppid | 18 of 18 rounds | broken", rows[0])

    def test_counts_that_could_not_be_had_are_not_exact(self):
        for sample in self.report["sections"]["comparison"]["samples"]:
            if (sample["tracer"], sample["load"]) == ("socktrace count", "redis"):
                sample.update(failed="broken", figures={})
        self.assertEqual(self.targets()["calls counted = calls made", "every load, both details"],
                         "missed")

    def test_targets_are_judged_by_the_whole_interval(self):
        self.assertEqual(self.targets()["r ≤ 1.5", "getppid, socktrace full"], "met")
        self.assertEqual(self.targets()["r ≤ 0.7", "getppid, socktrace count"], "met")
        change(self.report, lambda s: s["load"] == "getppid" and s["tracer"] == "socktrace full"
               and s["round"] < 2, ns_per_call=400)
        self.assertEqual(self.targets()["r ≤ 1.5", "getppid, socktrace full"], "met (not sure)")
        change(self.report, lambda s: s["load"] == "getppid" and s["tracer"] == "socktrace full",
               ns_per_call=400)
        self.assertEqual(self.targets()["r ≤ 1.5", "getppid, socktrace full"], "missed")

    def test_throughput_has_its_target_at_every_load(self):
        said = self.targets()
        target = "throughput ≥ 0.97 of the floor's"
        for load, detail in itertools.product(("getppid", "bystander", *BETWEEN), tables.SUBJECTS):
            self.assertIn((target, f"{load}, socktrace {detail}"), said)
        self.assertEqual(said[target, "getppid, socktrace full"], "missed")
        self.assertRegex(said[target, "redis, socktrace full"], "^met")

    def test_the_cheapest_peer_is_one_that_tells_durations(self):
        self.assertEqual(tables.cheapest_peer(tables.Comparison(self.report)), "syscount -L")
        self.assertIn(("adds ≤ 1/2 of what the cheapest peer adds: peer / socktrace full ≥ 2",
                       "getppid, syscount -L"), self.targets())

    def test_ranking_ends_with_the_slowest(self):
        order = cells(tables.rankings(self.report), "getppid")[1]
        self.assertTrue(order.startswith("untraced > socktrace count > floor"), order)
        self.assertTrue(order.endswith("perf trace > strace"), order)

    def test_growth_gives_r_at_each_point(self):
        block = tables.growth(self.report)
        self.assertAlmostEqual(float(cells(block, "10,000")[3].split(" ")[0]), 1.4, delta=0.15)
        self.assertEqual(cells(block, "none")[0], "none")
        row = cells(tables.growth_ends(self.report), "threads")
        self.assertEqual(row[1:3], ["1", "10,000"])
        self.assertAlmostEqual(float(row[3].split(" ")[0]), 1, delta=0.15)

    def test_growth_is_the_far_end_to_the_beginning(self):
        for sample in self.report["sections"]["growth"]["samples"]:
            if (sample["x"], sample["subject"]) == (10000, "full"):
                sample["figures"]["ns_per_call"] += 56
        row = cells(tables.growth_ends(self.report), "threads")
        self.assertAlmostEqual(float(row[3].split(" ")[0]), 2, delta=0.3)

    def test_a_step_is_held_against_the_one_before_it(self):
        block = tables.split(self.report)
        steps = [line.split(" | ")[0][2:] for line in block.split("\n\n")[0].splitlines()[2:]]
        self.assertEqual(steps, STEPS)
        step, more, to_untraced = cells(block, "clock")[0], *cells(block, "clock")[2:4]
        self.assertEqual(step, "clock")
        self.assertAlmostEqual(float(more.split(" ")[0]), 46, delta=5)
        self.assertAlmostEqual(float(to_untraced.split(" ")[0]), 86, delta=5)
        self.assertEqual(cells(block, "or hashes by tid")[2], "—")
        self.assertEqual(cells(block, "untraced")[2:], ["—"] * 4)

    def test_failures_of_every_section_are_named(self):
        for sample in self.report["sections"]["growth"]["samples"]:
            if (sample["x"], sample["subject"], sample["round"]) == (10000, "full", 3):
                sample.update(failed="no room", figures={})
        for sample in self.report["sections"]["split"]["samples"]:
            if sample["step"] == "clock":
                sample.update(failed=HARM, ns_per_call=None)
        block = tables.problems(self.report)
        self.assertEqual(cells(block, "socktrace full")[1:],
                         ["growth, threads 10,000", "1 of 6 rounds", "no room"])
        self.assertEqual(cells(block, "clock")[1:3],
                         ["split, getppid, split, switch", "22 of 22 rounds"])
        self.assertEqual(cells(tables.split(self.report), "clock")[1:], ["—"] * 5)

    def test_a_report_is_told_by_its_rows(self):
        row = next(line for line in tables.snapshot(self.report).splitlines() if "10,000" in line)
        row = row.split(" | ")
        self.assertEqual([row[0], row[1], row[4]], ["| threads", "10,000", "1.95 KiB"])
        self.assertAlmostEqual(float(row[3].split(" ")[0]), 905, delta=30)
        self.assertAlmostEqual(float(row[6].split(" ")[0]), 9.005, delta=0.3)

    def test_encoding_compares_builds_within_rounds(self):
        row = cells(tables.encoding(self.report), "json")
        self.assertEqual(row[1:3], ["1,000", "400"])
        self.assertAlmostEqual(float(row[-1].split(" ")[0]), 1.1, delta=0.03)

    def test_two_samples_of_a_round_are_an_error(self):
        samples = self.report["sections"]["comparison"]["samples"]
        samples.append(copy.deepcopy(samples[0]))
        with self.assertRaises(ValueError):
            tables.summary(self.report)

    def test_a_quick_run_says_so_and_has_no_intervals(self):
        self.report["quick"] = True
        for section in self.report["sections"].values():
            section["rounds"] = 1
            section["samples"] = [s for s in section["samples"] if s["round"] == 0]
        self.assertIn("A quick run", tables.machine(self.report))
        self.assertNotIn(" to ", cells(tables.summary(self.report), "strace")[1])
        self.assertIn("too few rounds", str(self.targets()))

    def test_sections_that_were_not_run_give_nothing(self):
        self.report["sections"] = {}
        for name in ("growth", "growth-ends", "snapshot", "split", "encoding", "comparison"):
            self.assertEqual(tables.BLOCKS[name][1](self.report), "")


# --- plots and documents --------------------------------------------------------------------------

class Plots(unittest.TestCase):
    def test_names_cannot_leave_their_quotes(self):
        self.assertEqual(overhead_plot.quoted("a'b\n`c`"), "'a''b `c`'")

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is missing")
    def test_gnuplot_draws_them(self):
        report = made_up()
        for sample in report["sections"]["split"]["samples"]:
            if sample["step"] == "clock":
                sample["step"] = "<b>'`touch x`'_$0"
        svg = overhead_report.plotted(report)
        self.assertIn("&lt;b>'`touch x`'_$0", svg)
        for title in ("Throughput kept", "r against threads", "A report, ms", "Where the time"):
            self.assertIn(title, svg)
        self.assertEqual(svg, overhead_report.plotted(report))


class Documents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.files = [self.folder / f"overhead.{end}" for end in ("json", "md", "svg")]
        self.doc = self.folder / "DOC.md"
        self.files[0].write_text(json.dumps(made_up()))
        shutil.copy(ROOT / "docs" / "OVERHEAD.md", self.doc)

    def run_report(self, *options):
        run = subprocess.run([sys.executable, REPORT, *options, *self.files, self.doc], text=True,
                             capture_output=True, check=False)
        self.said = run.stdout + run.stderr
        return run.returncode

    def test_what_is_written_passes_the_check(self):
        self.assertEqual(self.run_report("--check"), 1)
        self.assertEqual(self.run_report(), 0, self.said)
        self.assertEqual(self.run_report("--check"), 0, self.said)
        first = self.doc.read_text()
        self.assertEqual(self.run_report(), 0)
        self.assertEqual(self.doc.read_text(), first)

    def test_a_typed_figure_fails_the_check(self):
        self.assertEqual(self.run_report(), 0, self.said)
        for path in (self.doc, self.files[1]):
            made = path.read_text()
            row = next(line for line in made.splitlines() if line.startswith("| socktrace full |"))
            path.write_text(made.replace(row, row.replace("(", "(9", 1), 1))
            self.assertEqual(self.run_report("--check"), 1)
            self.assertIn(path.name, self.said)
            path.write_text(made)

    def test_other_samples_fail_the_check(self):
        self.assertEqual(self.run_report(), 0, self.said)
        report = made_up()
        for sample in report["sections"]["comparison"]["samples"]:
            if sample["tracer"] == "strace" and sample["load"] == "redis":
                sample["figures"]["per_s"] *= 2
        self.files[0].write_text(json.dumps(report))
        self.assertEqual(self.run_report("--check"), 1)

    def test_the_prose_is_kept(self):
        before = self.doc.read_text()
        self.assertEqual(self.run_report(), 0, self.said)

        def prose(text):
            return re.sub(r"(<!-- begin [^\n]*\n).*?(<!-- end)", r"\1\2", text, flags=re.S)

        self.assertEqual(prose(self.doc.read_text()), prose(before))

    def test_a_place_without_an_end_is_an_error_and_nothing_is_written(self):
        text = self.doc.read_text().replace("<!-- end summary -->", "")
        self.doc.write_text(text)
        self.assertEqual(self.run_report(), 1)
        self.assertIn("summary", self.said)
        self.assertEqual(self.doc.read_text(), text)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["DOC.md", "overhead.json"])

    def test_a_missing_or_foreign_json_is_an_error(self):
        self.files[0].write_text("{}")
        self.assertEqual(self.run_report("--check"), 1)
        self.assertIn("format", self.said)
        self.files[0].unlink()
        self.assertEqual(self.run_report("--check"), 1)
        self.assertIn("make bench", self.said)

    def test_without_gnuplot_all_but_the_plots_is_checked(self):
        self.assertEqual(self.run_report(), 0, self.said)
        self.files[2].unlink(missing_ok=True)
        which, overhead_report.shutil.which = shutil.which, lambda name: None
        self.addCleanup(setattr, overhead_report.shutil, "which", which)
        arguments = ["overhead_report.py", "--check", *map(str, self.files), str(self.doc)]
        sys.argv, before = arguments, sys.argv
        self.addCleanup(setattr, sys, "argv", before)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(overhead_report.main(), 0)
        self.assertIn("gnuplot is missing", said.getvalue())


class Committed(unittest.TestCase):
    RESULTS = [ROOT / "results" / f"overhead.{end}" for end in ("json", "md", "svg")]

    @unittest.skipUnless(RESULTS[0].exists(), "results/overhead.json is missing: sudo make bench")
    def test_no_figure_was_typed(self):
        run = subprocess.run([sys.executable, REPORT, "--check", *self.RESULTS,
                              ROOT / "docs" / "OVERHEAD.md"], text=True, capture_output=True,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--made"] and len(sys.argv) == 3:
        pathlib.Path(sys.argv[2]).write_text(json.dumps(made_up()))
    else:
        tap.main()
