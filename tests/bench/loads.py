# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The loads of comparison.py: what is traced, what loads it, and how often it really called.

The traced process, the target, has the first CPU, what loads it the second; it is new in each cell,
and ends before its tracer does, so that no call is under way when the tracer's counts are taken.
"""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time

import tracers
from tracers import Failed, end_with_parent, find

READY_S = 20
LOAD_S = 90  # the slowest tracer needs some seconds
CPUS = sorted(os.sched_getaffinity(0))
TARGET_CPU, LOAD_CPU = CPUS[0], CPUS[-1]


# --- processes ----------------------------------------------------------------------------------

def pin(pid):
    """All threads of the target; those to come inherit it. A tool that started it stays free."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(tid), {TARGET_CPU})


def run(command):
    """A program that makes load, to its end; what it printed."""
    command = ["taskset", "-c", str(LOAD_CPU), *command]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=end_with_parent) as process:
        try:
            out, err = process.communicate(timeout=LOAD_S)
        except subprocess.TimeoutExpired as why:
            raise Failed(f"{command[3]} made its load for more than {LOAD_S} s") from why
        finally:
            process.kill()
    if process.returncode:
        said = " ".join(err.split())[:400] or "it said nothing"
        raise Failed(f"{command[3]}: {tracers.status_text(process.returncode)}: {said}")
    return out


class Target:
    """The process that is traced: started by us, or by a tool that must."""

    def __init__(self, command, folder, tool_that_starts=None, ours=None, names=()):
        self.tool = None
        self.folder = folder
        self.command = command
        with open(f"{folder}/target.err", "wb") as err:
            how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            if tool_that_starts:
                self.tool = tool_that_starts.start(ours, names, folder, command, **how)
                self.process = self.tool.process
            else:
                self.process = subprocess.Popen(command, stderr=err, preexec_fn=end_with_parent,
                                                **how)
        self.pid = None
        self.buffer = b""

    def has_more(self):
        """Waits for what it prints; False: it has ended."""
        if not select.select([self.process.stdout], [], [], READY_S)[0]:
            raise Failed(f"{self.command[0]} said nothing for {READY_S} s")
        some = os.read(self.process.stdout.fileno(), 65536)
        self.buffer += some
        return bool(some)

    def line(self):
        """The next that it prints."""
        while b"\n" not in self.buffer:
            if not self.has_more():
                raise Failed(f"{self.command[0]} ended: {self.words()}")
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace")

    def rest(self):
        """All that it prints until it ends."""
        while self.has_more():
            pass
        return self.buffer.decode(errors="replace")

    def words(self):
        return tracers.last_line(self.tool.err if self.tool else f"{self.folder}/target.err")

    def is_up(self):
        """Said, or seen, to be ready: from here on it has its number and its CPU."""
        self.pid = self.tool.target_pid() if self.tool else self.process.pid
        pin(self.pid)

    def signal(self, how):
        os.kill(self.pid, how)

    def has_ended(self):
        return self.tool.has_ended(0) if self.tool else self.process.poll() is not None

    def close(self):
        """After it all, and after a failure."""
        if self.tool:
            self.tool.abandon()  # strace(1) takes what it started with it
        elif not self.has_ended():
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def await_end(self):
        """Under a tool that started it, it is that tool's child."""
        if self.tool:
            return
        try:
            self.process.wait(READY_S)
        except subprocess.TimeoutExpired as why:
            raise Failed(f"{self.command[0]} did not end within {READY_S} s") from why


# --- what the kernel and the parts themselves count -----------------------------------------------

def io_writes(pid):
    """Calls that write, of all threads that there were: one more with each return of WRITES."""
    return int(re.search(r"^syscw: (\d+)$", tracers.read(f"/proc/{pid}/io"), re.M)[1])


# What counts in syscw (fs/read_write.c). Reads are not asked for: exec(2) counts in syscr too, and
# redis-server reads /proc/self/stat whenever it likes.
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile")


def await_blocked(pid):
    """Until a server has done all, and sleeps in epoll_wait(2) again: before, a call whose data
    have gone may not have returned."""
    limit = time.monotonic() + READY_S
    while not tracers.is_blocked_in(pid, "epoll_wait", "epoll_pwait"):
        if time.monotonic() > limit:
            raise Failed("the server does not come to rest")
        time.sleep(0.001)


def printed(text):
    """What a part prints at its end: "name: number", and "call: number calls, ..."."""
    return {name: int(value) for name, value in
            re.findall(r"^(\w+): (\d+)(?: calls, .*)?$", text, re.M)}


# --- the loads ------------------------------------------------------------------------------------

class Load:
    """@names: the calls whose true number is known, of the target and while it is traced."""

    name = unit = None
    names = ()
    programs = ()  # that are not ours: (names, words for its version, package)
    quick_share = 8  # a quick run makes so much less

    def __init__(self, context):
        self.socktrace = context.socktrace
        self.bench = context.bench
        self.share = self.quick_share if context.quick else 1

    def start(self, folder, tool, ours):
        """The target, ready. What else the load needs is started here too."""
        target = Target(self.command(folder), folder, tool, ours, self.names)
        try:
            self.await_ready(target, folder)
            target.is_up()
        except BaseException:
            self.close(target)
            raise
        return target

    def command(self, folder):
        raise NotImplementedError

    def await_ready(self, target, folder):
        raise NotImplementedError

    def drive(self, target, folder):
        """Makes the load. Figures: ns_per_call or per_s, p99_ns if there is one."""
        raise NotImplementedError

    def late_figures(self):
        """Those that are only known once the target has ended."""
        return {}

    def before(self, target):
        """Once it is traced."""

    def finish(self, target):
        """Ends the target; how often it called @names."""
        raise NotImplementedError

    def close(self, target):
        target.close()


class Getppid(Load):
    name = "getppid"
    unit = "ns a call"
    names = ("getppid",)
    warm_up_ms, loop_ms = 20, 250

    def command(self, folder):
        return [f"{self.bench}/looper"]

    def await_ready(self, target, folder):
        self.made = 0
        if target.line() != "ready":
            raise Failed("the looper is not ready")

    def loop(self, target, ms):
        target.process.stdin.write(f"{ms}\n".encode())
        target.process.stdin.flush()
        calls, ns = map(int, target.line().split()[:2])
        self.made += calls
        return ns / calls

    def drive(self, target, folder):
        self.loop(target, self.warm_up_ms)
        return {"ns_per_call": self.loop(target, self.loop_ms // self.share)}

    def finish(self, target):
        target.process.stdin.close()
        target.await_end()
        return self.made


class Bystander(Getppid):
    """The tracer traces another process, that sleeps; of which it must count none of the calls."""

    name = "bystander"

    def start(self, folder, tool, ours):
        self.looper = None
        target = super().start(folder, tool, ours)
        try:
            self.looper = Target(self.command(folder), folder)
            self.await_ready(self.looper, folder)
            self.looper.is_up()
        except BaseException:
            self.close(target)
            raise
        return target

    def drive(self, target, folder):
        return super().drive(self.looper, folder)

    def finish(self, target):
        super().finish(self.looper)
        super().finish(target)
        return 0

    def close(self, target):
        super().close(target)
        if self.looper:
            self.looper.close()


class Part(Load):
    """A workload whose subject counts its own calls, and says so when it is told to end."""

    names = ("recvfrom", "sendto")
    subject = ()

    def part(self, *words):
        return [self.socktrace, "workload", *map(str, words)]

    def command(self, folder):
        return self.part(*self.subject)

    def listens(self, target):
        line = target.line()
        if " listening on " not in line:
            raise Failed(f"{' '.join(self.subject)} does not listen")
        return line.rsplit(" ", 1)[1].strip()

    def await_ready(self, target, folder):
        self.address = self.listens(target)

    def run_part(self, *words):
        return printed(run(self.part(*words)))

    def finish(self, target):
        target.signal(signal.SIGINT)
        self.said = printed(target.rest())
        target.await_end()
        if target.process.returncode or not self.said:
            raise Failed(f"{' '.join(self.subject)}: {target.words()}")
        return sum(self.said.get(name, 0) for name in self.names)


class Gateway(Part):
    unit = "requests/s"
    connections = 16

    def __init__(self, context, mode, orders):
        super().__init__(context)
        self.orders = orders
        self.name = f"gateway {mode}"
        self.subject = ("gateway", "server", "--mode", mode)

    def drive(self, target, folder):
        x = self.run_part("gateway", "client", "--connect", self.address, "--connections",
                          self.connections, "--orders",
                          self.orders // self.share // self.connections)
        return {"per_s": x["requests"] / x["duration_ns"] * 1e9, "p99_ns": x["latency_p99_ns"]}


class Feed(Part):
    """A burst; received per second of sending. With 1 µs of work on each message the subscriber
    loses some even untraced: without, the publisher would be the slower one, and be measured."""

    name = "feed"
    unit = "messages/s"
    subject = ("feed", "subscriber", "--work", "1000")
    messages = 120_000

    def drive(self, target, folder):
        self.sent = self.run_part("feed", "publisher", "--connect", self.address, "--messages",
                                  self.messages // self.share)
        return {}

    def late_figures(self):
        return {"per_s": self.said["messages"] / self.sent["duration_ns"] * 1e9,
                "p99_ns": self.said["latency_p99_ns"]}


class Forwarder(Part):
    name = "forwarder"
    unit = "bytes/s"
    subject = ("forwarder", "forwarder", "--buffer", "64K")
    seconds = 0.25

    def start(self, folder, tool, ours):
        os.mkdir(f"{folder}/far")
        self.far = Target(["taskset", "-c", str(LOAD_CPU), *self.part("forwarder", "server")],
                          f"{folder}/far")
        try:
            self.far_address = self.listens(self.far)
            return super().start(folder, tool, ours)
        except BaseException:
            self.far.close()
            raise

    def command(self, folder):
        return self.part(*self.subject, "--connect", self.far_address)

    def drive(self, target, folder):
        x = self.run_part("forwarder", "client", "--connect", self.address, "--seconds",
                          self.seconds / self.share)
        return {"per_s": x["bytes"] / x["duration_ns"] * 1e9}

    def close(self, target):
        super().close(target)
        self.far.close()


class Server(Load):
    """A server of others. The truth is what the kernel accounts to it, /proc/PID/io."""

    names = WRITES

    def before(self, target):
        # Of a process that its tracer started, every call was traced.
        self.written = 0 if target.tool else io_writes(target.pid)

    def finish(self, target):
        await_blocked(target.pid)
        made = io_writes(target.pid) - self.written
        target.signal(signal.SIGKILL)  # it has nothing to save, and makes no more calls
        target.await_end()
        return made


class Redis(Server):
    name = "redis"
    unit = "requests/s"
    programs = ((("redis-server",), ["--version"], "redis-server"),
                (("redis-benchmark",), ["--version"], "redis-tools"))
    requests, clients = 40_000, 20

    def command(self, folder):
        return [find(["redis-server"]), "--port", "0", "--unixsocket", f"{folder}/sock",
                "--save", "", "--appendonly", "no", "--dir", folder]

    def await_ready(self, target, folder):
        while "ready to accept connections" not in target.line().lower():
            pass

    def drive(self, target, folder):
        out = run([find(["redis-benchmark"]), "-s", f"{folder}/sock", "-t", "get", "-c",
                   str(self.clients), "-n", str(self.requests // self.share), "--csv"])
        return redis_figures(out)


def redis_figures(text):
    """Of redis-benchmark --csv: a line of titles, one of values; latencies in ms."""
    titles, values = ([word.strip('"') for word in line.split(",")]
                      for line in text.splitlines()[-2:])
    x = dict(zip(titles, values))
    return {"per_s": float(x["rps"]), "p99_ns": round(float(x["p99_latency_ms"]) * 1e6)}


NGINX = """
user root;
daemon off;
master_process off;
error_log stderr notice;
pid {folder}/pid;
events {{ worker_connections 64; }}
http {{
	access_log off;
	sendfile on;
	keepalive_requests 1000000;
	client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy;
	fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi;
	scgi_temp_path {folder}/scgi;
	server {{
		listen 127.0.0.1:{port};
		root {folder}/www;
	}}
}}
"""
PAGE_BYTES = 4096


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx(Server):
    name = "nginx"
    unit = "requests/s"
    programs = ((("nginx",), ["-v"], "nginx-light"), (("ab",), ["-V"], "apache2-utils"))
    requests, clients = 24_000, 8

    def command(self, folder):
        self.port = free_port()
        os.mkdir(f"{folder}/www")
        with open(f"{folder}/www/page", "wb") as f:
            f.write(bytes(PAGE_BYTES))
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as f:
            f.write(NGINX.format(folder=folder, port=self.port))
        return [find(["nginx"]), "-p", folder, "-e", "stderr", "-c", f"{folder}/nginx.conf"]

    def await_ready(self, target, folder):
        """It does not say so: until it serves the page."""
        limit = time.monotonic() + READY_S
        while not self.serves():
            if target.has_ended() or time.monotonic() > limit:
                raise Failed(f"nginx does not serve: {target.words()}")
            time.sleep(0.005)

    def serves(self):
        with contextlib.suppress(ConnectionRefusedError):
            with socket.create_connection(("127.0.0.1", self.port), READY_S) as s:
                s.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                return b" 200 OK" in s.makefile("rb").readline()
        return False

    def drive(self, target, folder):
        out = run([find(["ab"]), "-q", "-k", "-c", str(self.clients), "-n",
                   str(self.requests // self.share), "-e", f"{folder}/percentiles",
                   f"http://127.0.0.1:{self.port}/page"])
        return ab_figures(out, tracers.read(f"{folder}/percentiles"))


def ab_figures(out, percentiles):
    """Its own percentiles are in whole ms; those of its CSV file are not."""
    x = dict(re.findall(r"^([\w -]+): +([\d.]+)", out, re.M))
    if x.get("Failed requests") != "0" or "Non-2xx responses" in x:
        raise Failed("ab: requests failed")
    p99_ms = re.search(r"^99,([\d.]+)$", percentiles, re.M)[1]
    return {"per_s": float(x["Requests per second"]), "p99_ns": round(float(p99_ms) * 1e6)}


def all_loads(context):
    return [Getppid(context), Bystander(context), Gateway(context, "epoll", 40_000),
            Gateway(context, "threaded", 36_000), Feed(context), Forwarder(context), Redis(context),
            Nginx(context)]
