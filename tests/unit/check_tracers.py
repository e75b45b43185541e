#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Tests of how tests/bench runs tracers and reads what they and the loads print.

usage: check_tracers.py     prints TAP; needs no privileges, and none of the tracers

What the tools print is in tracers/: of a gateway in mode epoll that made 3,040 recvfrom(2) and
3,024 sendto(2), and of a redis-server, on x86_64.
"""

import contextlib
import json
import pathlib
import random
import sys
import tempfile
import types
import unittest
from unittest import mock

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = pathlib.Path(__file__).resolve().parent / "tracers"
sys.path.insert(0, str(ROOT / "tests" / "bench"))

import comparison  # noqa: E402
import loads  # noqa: E402
import overhead  # noqa: E402
import tracers  # noqa: E402
from tracers import Failed  # noqa: E402

NAMES = ("recvfrom", "sendto")
MADE = {"recvfrom": 3040, "sendto": 3024}
X86_64 = {"recvfrom": 45, "sendto": 44, "write": 1, "writev": 20}


def sample(name):
    return (SAMPLES / f"{name}.txt").read_text(encoding="utf-8")


def counted(parse, text, names=NAMES):
    calls = parse(text, names)
    return {name: calls[name] for name in names}


class Parsers(unittest.TestCase):
    def test_strace_counts_with_and_without_errors(self):
        text = sample("strace")
        self.assertEqual(counted(tracers.parse_strace, text), MADE)
        errors = [line.split()[-1] for line in text.splitlines() if len(line.split()) == 6]
        self.assertIn("accept4", errors)
        self.assertEqual(tracers.parse_strace(text, NAMES)["accept4"], 17)

    def test_strace_total_is_no_call(self):
        self.assertEqual(tracers.parse_strace(sample("strace-seccomp-bpf"), NAMES), MADE)

    def test_perf_counts(self):
        self.assertEqual(counted(tracers.parse_perf, sample("perf-trace")), MADE)

    def test_perf_adds_up_threads(self):
        text = sample("perf-trace-threads")
        self.assertEqual(text.count("syscall            calls"), 5)
        self.assertEqual(counted(tracers.parse_perf, text, ("write", "read", "futex")),
                         {"write": 3751, "read": 3777, "futex": 4 + 1 + 1 + 1 + 7})

    def test_perf_of_before_the_column_of_errors(self):
        text = "   getppid             703    11.529     0.012     0.016     0.058      1.40%\n"
        self.assertEqual(tracers.parse_perf(text, ())["getppid"], 703)

    def test_bpftrace_counts_by_number(self):
        with mock.patch.object(tracers, "call_number", X86_64.get):
            self.assertEqual(counted(tracers.parse_bpftrace, sample("bpftrace")), MADE)
            self.assertEqual(counted(tracers.parse_bpftrace, sample("bpftrace"), ("writev",)),
                             {"writev": 0})

    def test_syscount_counts_with_and_without_latency(self):
        for name in ("syscount", "syscount-L"):
            with self.subTest(name):
                self.assertEqual(counted(tracers.parse_syscount, sample(name)), MADE)

    def test_socktrace_adds_up_processes(self):
        def process(calls):
            return {"syscalls": [{"name": "recvfrom", "calls": calls}, {"name": "x", "calls": 5}]}
        text = json.dumps({"processes": [process(3000), process(40)]})
        self.assertEqual(tracers.parse_socktrace(text, NAMES)["recvfrom"], 3040)

    def test_numbers_of_calls_are_this_machines(self):
        self.assertIsNone(tracers.call_number("no_such_call"))
        self.assertEqual(len({tracers.call_number(name) for name in loads.WRITES}),
                         len(loads.WRITES))


class WhatLoadsPrint(unittest.TestCase):
    def test_parts(self):
        said = loads.printed("recvfrom: 16192 calls, 7 errors, 517632 bytes\nserved: 16176\n"
                             "a line: of text\n")
        self.assertEqual(said, {"recvfrom": 16192, "served": 16176})

    def test_redis_benchmark(self):
        text = ('"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",'
                '"p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
                '"GET","136986.30","0.088","0.016","0.071","0.095","0.263","8.135"\n')
        self.assertEqual(loads.redis_figures(text), {"per_s": 136986.30, "p99_ns": 263000})

    def test_ab(self):
        out = ("Complete requests:      20000\nFailed requests:        {}\n"
               "Requests per second:    72226.68 [#/sec] (mean)\n")
        percentiles = "Percentage served,Time in ms\n98,0.150\n99,0.199\n"
        self.assertEqual(loads.ab_figures(out.format(0), percentiles),
                         {"per_s": 72226.68, "p99_ns": 199000})
        with self.assertRaisesRegex(Failed, "requests failed"):
            loads.ab_figures(out.format(1), percentiles)


class Table(unittest.TestCase):
    def test_names_are_those_that_the_report_knows(self):
        import samples
        context = types.SimpleNamespace(socktrace="s", bench="b", quick=False)
        self.assertEqual({t.name for t in tracers.TRACERS}, set(samples.TRACERS))
        self.assertEqual({load.name for load in loads.all_loads(context)}, set(samples.LOADS))

    def test_words_are_replaced(self):
        t = tracers.Tracer("x", (), ["FLOOR", "-p", "PID", "-e", "trace=CALLS", "-o", "OUT"],
                           None, None)
        self.assertEqual(t.command({"FLOOR": "/PID", "OUT": "o"}, 12, NAMES),
                         ["/PID", "-p", "12", "-e", "trace=recvfrom,sendto", "-o", "o"])

    def test_every_tool_of_others_is_listed(self):
        with mock.patch.object(tracers, "find", lambda programs: None):
            rows = comparison.tools()
        self.assertEqual([row["name"] for row in rows],
                         ["strace", "perf", "bpftrace", "syscount", "redis-server",
                          "redis-benchmark", "nginx", "ab"])
        self.assertTrue(all(row["absent"] and row["package"] for row in rows))


# --- a tool's life ------------------------------------------------------------------------------

GOOD = "trap 'echo recvfrom 7 >&3; exit 0' INT; echo tracing >&2; while :; do sleep 0.01; done"


def tracer_of(script, **how):
    return tracers.Tracer("script", (), ["sh", "-c", f"exec 3>OUT; {script}"],
                          tracers.says("tracing", "err"), tracers.parse_syscount, **how)


@contextlib.contextmanager
def tool_of(script, **how):
    with tempfile.TemporaryDirectory() as folder:
        tool = tracer_of(script, **how).attach({}, 1, NAMES, folder)
        try:
            yield tool
        finally:
            tool.abandon()


class Life(unittest.TestCase):
    def test_traces_until_it_is_interrupted(self):
        with tool_of(GOOD) as tool:
            self.assertGreater(tool.await_ready(), 0)
            tool.note_use()
            figures = tool.finish(NAMES)
            self.assertEqual(figures["counted_calls"], 7)
            self.assertGreater(figures["tool_cpu_ns"], 0)
            self.assertLess(0, figures["tool_rss_bytes"])
            self.assertLess(figures["tool_rss_bytes"], 8 << 20)  # not this Python's

    def test_ends_by_itself_with_its_target(self):
        with tool_of("echo tracing >&2; sleep 0.1; echo recvfrom 7 >&3",
                     ends_with_target=True) as tool:
            tool.await_ready()
            self.assertEqual(tool.finish(NAMES)["counted_calls"], 7)

    def test_one_that_ends_too_early_failed(self):
        with tool_of("echo no privileges >&2; exit 3") as tool:
            with self.assertRaisesRegex(Failed, "ended before it traced: no privileges"):
                tool.await_ready()

    def test_one_that_ends_under_the_load_failed(self):
        with tool_of("echo tracing >&2; echo lost it >&2") as tool:
            self.assertTrue(tool.has_ended(10))
            with self.assertRaisesRegex(Failed, "ended under the load"):
                tool.note_use()

    def test_one_that_says_it_failed_has(self):
        script = ("trap 'echo an audit failed >&2; exit 3' INT; echo tracing >&2;"
                  " while :; do sleep 0.01; done")
        with tool_of(script) as tool:
            tool.await_ready()
            with self.assertRaisesRegex(Failed, "ended with status 3: an audit failed"):
                tool.finish(NAMES)

    def test_one_that_is_never_ready_failed(self):
        with mock.patch.object(tracers, "READY_S", 0.05), tool_of("exec sleep 60") as tool:
            with self.assertRaisesRegex(Failed, "did not trace within"):
                tool.await_ready()
        self.assertEqual(tool.status, -9)

    def test_one_that_forgets_an_interrupt_gets_another(self):
        script = ("n=0; trap 'n=$((n + 1)); [ $n -lt 2 ] || { echo recvfrom 7 >&3; exit 0; }' INT;"
                  " echo tracing >&2; while :; do sleep 0.01; done")
        with mock.patch.object(tracers, "AGAIN_S", 0.2), tool_of(script) as tool:
            tool.await_ready()
            self.assertEqual(tool.finish(NAMES)["counted_calls"], 7)

    def test_one_that_does_not_end_failed(self):
        script = "trap '' INT; echo tracing >&2; exec sleep 60"
        limits = mock.patch.multiple(tracers, END_S=0.2, AGAIN_S=0.1)
        with limits, tool_of(script) as tool:
            tool.await_ready()
            with self.assertRaisesRegex(Failed, "did not end within"):
                tool.finish(NAMES)
        self.assertEqual(tool.status, -9)

    def test_output_that_cannot_be_read_is_a_failure(self):
        with tool_of(GOOD) as tool:
            tool.await_ready()
            tool.tracer.parse = tracers.parse_socktrace
            with self.assertRaisesRegex(Failed, "cannot be read"):
                tool.finish(NAMES)


# --- the rounds -----------------------------------------------------------------------------------

def context_of(seed=1, rounds=3, said=None):
    return types.SimpleNamespace(random=random.Random(seed), rounds=rounds, quick=False,
                                 say=(said if said is not None else []).append)


CELLS = [(types.SimpleNamespace(name=load, unit="s", names=NAMES), tracer) for load in ("a", "b")
         for tracer in tracers.TRACERS[:4]]


def rounds_of(context, fails=lambda load, tracer: None):
    def measure(_, load, tracer):
        return {"wall_ns": 1}, fails(load.name, tracer.name)
    with mock.patch.multiple(comparison, all_cells=lambda _: list(CELLS), measure=measure):
        return comparison.run(context)["samples"]


class Rounds(unittest.TestCase):
    def test_each_has_every_cell_once(self):
        samples = rounds_of(context_of())
        for number in range(3):
            cells = [(s["load"], s["tracer"]) for s in samples if s["round"] == number]
            self.assertEqual(len(cells), len(CELLS))
            self.assertEqual(set(cells), {(load.name, t.name) for load, t in CELLS})

    def test_order_is_shuffled_and_the_seeds(self):
        def orders(seed):
            return [(s["round"], s["order"], s["load"], s["tracer"])
                    for s in rounds_of(context_of(seed))]
        self.assertEqual(orders(1), orders(1))
        self.assertNotEqual(orders(1), orders(2))
        cells = [o[2:] for o in orders(1)]
        self.assertNotEqual(cells[:len(CELLS)], cells[len(CELLS):2 * len(CELLS)])

    def test_failures_are_kept_and_said(self):
        said = []
        samples = rounds_of(context_of(said=said),
                            lambda load, tracer: "lost" if tracer == "floor" else None)
        failed = [s for s in samples if s["failed"]]
        self.assertEqual({s["tracer"] for s in failed}, {"floor"})
        self.assertEqual(len(failed), 2 * 3)
        self.assertTrue(any("a, floor: failed: lost" in line for line in said))

    def test_the_tracers_of_a_load_follow_each_other(self):
        for number in range(3):
            names = [s["load"] for s in rounds_of(context_of()) if s["round"] == number]
            self.assertEqual(names, sorted(names, reverse=names[0] == "b"))

    def test_a_load_that_fails_untraced_is_kept_too(self):
        samples = rounds_of(context_of(),
                            lambda load, tracer: "down" if tracer == "untraced" else None)
        self.assertEqual(sum(s["failed"] == "down" for s in samples), 2 * 3)


class NothingTraced(unittest.TestCase):
    def figures_of(self, truth, counted):
        def run(cell):
            cell.figures |= {"truth_calls": truth, "counted_calls": counted}
        load, tracer = CELLS[0]
        with mock.patch.multiple(comparison.Cell, run=run), \
                mock.patch.object(comparison, "own_programs", lambda _: {}):
            return comparison.measure(None, load, tracer)[1]

    def test_a_tracer_that_saw_nothing_has_failed(self):
        self.assertEqual(self.figures_of(1500, 0), "traced none of 1,500 calls")

    def test_nothing_to_see_and_nothing_counted_are_no_failures(self):
        for truth, counted in ((0, 0), (1500, None), (1500, 1499)):
            self.assertIsNone(self.figures_of(truth, counted))


class Output(unittest.TestCase):
    def test_is_written_whole_or_not_at_all(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "overhead.json")
            overhead.write(str(path), {"seed": 1})
            with self.assertRaises(TypeError):
                overhead.write(str(path), {"seed": object()})
            self.assertEqual(json.loads(path.read_text(encoding="utf-8")), {"seed": 1})
            self.assertEqual([p.name for p in pathlib.Path(folder).iterdir()], [path.name])


if __name__ == "__main__":
    tap.main()
