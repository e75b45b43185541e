#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""workload.py SOCKTRACE ROUNDS: the workloads beside programs that do the same, untraced.

The gateway beside redis-server, the forwarder beside socat and haproxy, the feed's publisher beside
iperf3. All of a group run once in each round, one after the other, and medians are compared. The
side that is measured has CPU 0, the other CPU 1, where there are two.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SOCKTRACE = sys.argv[1]
ROUNDS = int(sys.argv[2])
READY_S = 10  # a program that is not ready by then fails
CPUS = sorted(os.sched_getaffinity(0))


def on_cpu(side, command):
    return ["taskset", "-c", str(CPUS[side % len(CPUS)]), *command]


def part(*words):
    return [SOCKTRACE, "workload", *words]


@contextlib.contextmanager
def running(command, side, ends_by=signal.SIGINT, **how):
    """A program that serves until it is told to end."""
    with subprocess.Popen(on_cpu(side, command), **how) as process:
        try:
            yield process
        finally:
            process.send_signal(ends_by)
            process.wait()


@contextlib.contextmanager
def listening(command, side):
    """A part that says where it listens."""
    with running(command, side, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        if " listening on " not in line:
            sys.exit(f"bench-workload: {' '.join(command)} does not listen")
        yield line.rsplit(" ", 1)[1].strip()
    if process.returncode:
        sys.exit(f"bench-workload: {' '.join(command)} failed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port, process):
    """Programs of others do not say when they are ready: until they accept a connection."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.01)
    sys.exit(f"bench-workload: nothing listens on port {port}")


@contextlib.contextmanager
def serving(command, port, side, ends_by=signal.SIGTERM):
    """A program of others that listens on @port."""
    with running(command, side, ends_by, stdout=subprocess.DEVNULL) as process:
        await_port(port, process)
        yield f"127.0.0.1:{port}"


def figures(command, side):
    """What a part prints at its end: "name: value"."""
    run = subprocess.run(on_cpu(side, command), stdout=subprocess.PIPE, text=True, check=True)
    lines = (line.split(": ") for line in run.stdout.splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


# --- gateway and redis-server -------------------------------------------------------------------

CLIENTS = 50
PIPELINE = 16
# What redis-benchmark -t set -d 3 sends: *3 $3 SET $16 key:000000000000 $3 xxx, each with \r\n.
REQUEST_BYTES = 45
REQUESTS = 1_000_000


def gateway(mode):
    with listening(part("gateway", "server", "--mode", mode), 0) as address:
        x = figures(part("gateway", "client", "--connect", address, "--connections", str(CLIENTS),
                         "--orders", str(REQUESTS // CLIENTS), "--pipeline", str(PIPELINE),
                         "--order-size", str(REQUEST_BYTES)), 1)
    return x["requests"] / x["duration_ns"] * 1e9


def redis():
    port = free_port()
    with serving(["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"], port, 0):
        out = subprocess.run(on_cpu(1, ["redis-benchmark", "-p", str(port), "-t", "set", "-d", "3",
                                        "-c", str(CLIENTS), "-P", str(PIPELINE),
                                        "-n", str(REQUESTS), "--csv"]),
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(out.splitlines()[-1].split(",")[1].strip('"'))


# --- forwarder, socat and haproxy -----------------------------------------------------------------

STREAMS = 4
HAPROXY = """
global
    nbthread 1
    tune.bufsize 65536
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen forwarder
    bind 127.0.0.1:{port}
    server far {far}
"""


def through(near):
    x = figures(part("forwarder", "client", "--connect", near, "--streams", str(STREAMS),
                     "--seconds", "1"), 1)
    return x["bytes"] * 8 / x["duration_ns"]


def forwarder(*options):
    with listening(part("forwarder", "server"), 1) as far:
        with listening(part("forwarder", "forwarder", "--connect", far, "--buffer", "64K", *options),
                       0) as near:
            return through(near)


def socat():
    port = free_port()
    with listening(part("forwarder", "server"), 1) as far:
        with serving(["socat", "-b", "65536", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr",
                      f"TCP:{far}"], port, 0) as near:
            return through(near)


def haproxy():
    port = free_port()
    with listening(part("forwarder", "server"), 1) as far, tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "haproxy.cfg")
        config.write_text(HAPROXY.format(port=port, far=far), encoding="ascii")
        with serving(["haproxy", "-q", "-db", "-f", str(config)], port, 0) as near:
            return through(near)


# --- feed and iperf3 ------------------------------------------------------------------------------

DATAGRAM_BYTES = 512


def feed(batch):
    size = ["--size", str(DATAGRAM_BYTES)]
    with listening(part("feed", "subscriber", *size), 1) as address:
        x = figures(part("feed", "publisher", "--connect", address, *size,
                         "--messages", "500000", "--batch", str(batch)), 0)
    return x["messages_published"] / x["duration_ns"] * 1e9


def iperf3():
    port = free_port()
    with running(["iperf3", "-s", "-p", str(port), "--forceflush"], 1,
                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        for line in server.stdout:
            if "listening" in line:
                break
        out = subprocess.run(on_cpu(0, ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-u", "-b", "0",
                                        "-l", str(DATAGRAM_BYTES), "-t", "1", "--json"]),
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    stream = json.loads(out)["end"]["streams"][0]["udp"]
    return stream["packets"] / stream["seconds"]


# --- all of it --------------------------------------------------------------------------------------

# Title, unit, contenders; ratios are to each of those after the mark.
GROUPS = [
    (f"gateway: {CLIENTS} clients, {PIPELINE} requests of {REQUEST_BYTES} B under way each",
     "requests/s", "{:,.0f}",
     {"gateway epoll": lambda: gateway("epoll"), "gateway threaded": lambda: gateway("threaded"),
      "redis-server SET": redis}, ["redis-server SET"]),
    (f"forwarder: {STREAMS} streams, buffers of 64 KiB", "Gbit/s", "{:.2f}",
     {"forwarder": forwarder, "forwarder --splice": lambda: forwarder("--splice"),
      "socat": socat, "haproxy": haproxy}, ["forwarder", "socat", "haproxy"]),
    (f"feed: datagrams of {DATAGRAM_BYTES} B sent in a burst", "datagrams/s", "{:,.0f}",
     {"feed": lambda: feed(1), "feed --batch 32": lambda: feed(32), "iperf3 -u -b 0": iperf3},
     ["iperf3 -u -b 0"]),
]


def show(title, unit, form, samples, references):
    print(f"\n{title}; {unit}, median of {ROUNDS} rounds (lowest to highest)")
    medians = {name: statistics.median(values) for name, values in samples.items()}
    for name, values in samples.items():
        ratios = ", ".join(f"{medians[name] / medians[other]:.2f} of {other}"
                           for other in references if other != name)
        print(f"  {name:20} {form.format(medians[name]):>12}"
              f" ({form.format(min(values))} to {form.format(max(values))})  {ratios}")


def main():
    for program in ("redis-server", "redis-benchmark", "socat", "haproxy", "iperf3", "taskset"):
        if not shutil.which(program):
            sys.exit(f"bench-workload: {program} is missing; make deps-bench installs it")
    for title, unit, form, contenders, references in GROUPS:
        samples = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                samples[name].append(run())
        show(title, unit, form, samples, references)


main()
