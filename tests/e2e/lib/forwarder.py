#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds a TCP forwarder to what it promises, from both of its sides.

forwarder.py address                     prints an address where nobody listens
forwarder.py check UPSTREAM FORWARDER    both ADDRESS:PORT. The script itself listens at UPSTREAM,
                                         to where the forwarder that listens at FORWARDER connects

Prints each behaviour that is not as it should be and exits 1 if there is one.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time

LIMIT_S = 10  # for anything that is to happen
QUIET_S = 0.3  # nothing moved for so long: it has come to a standstill
MIB = 1 << 20


class Failure(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Failure(what)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def content(length, seed=1):
    """Bytes that repeat nowhere near, so that none can be lost, doubled or swapped unseen."""
    block = b"".join(hashlib.sha256(struct.pack("<QQ", seed, i)).digest() for i in range(2048))
    blocks = (struct.pack("<Q", i) + block for i in range(length // len(block) + 1))
    return b"".join(blocks)[:length]


def receive(sock, length):
    """Exactly so many bytes."""
    parts = []
    while length:
        part = sock.recv(min(length, MIB))
        require(part, f"the connection ended {length} bytes too early")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def receive_all(sock):
    parts = []
    while True:
        part = sock.recv(MIB)
        if not part:
            return b"".join(parts)
        parts.append(part)


def send_until_full(sock, data):
    """Sends until nothing is taken any more. How much was taken."""
    sock.setblocking(False)
    sent, quiet_since = 0, time.monotonic()
    while sent < len(data) and time.monotonic() - quiet_since < QUIET_S:
        try:
            sent += sock.send(data[sent : sent + MIB])
            quiet_since = time.monotonic()
        except BlockingIOError:
            select.select([], [sock], [], 0.05)
    sock.settimeout(LIMIT_S)
    return sent


def finish(sender, data, receiver):
    """Moves the rest of @data, with both ends at work; ends that direction. What was received."""
    parts, sent = [], 0
    sender.setblocking(False)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        writable = [sender] if sent < len(data) else []
        readable, writable, _ = select.select([receiver], writable, [], 1)
        if writable:
            sent += sender.send(data[sent : sent + MIB])
            if sent == len(data):
                sender.shutdown(socket.SHUT_WR)
        if readable:
            part = receiver.recv(MIB)
            if not part:
                sender.settimeout(LIMIT_S)
                return b"".join(parts)
            parts.append(part)
    raise Failure(f"{sent} of {len(data)} bytes sent, no end after {LIMIT_S} s")


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def require_reset(sock, what):
    """What was under way may still come, but then a reset, not an end."""
    try:
        receive_all(sock)
    except ConnectionResetError:
        return
    raise Failure(f"{what}: the connection ended as if all were well, not with a reset")


def unsent(sock):
    """What the other side's kernel has not acknowledged, the end included (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """Both sides of the forwarder."""

    def __init__(self, options):
        self.options = options
        self.listener = None
        self.sockets = contextlib.ExitStack()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address(self.options.upstream))
        self.listener.listen(65535)
        self.listener.settimeout(LIMIT_S)

    def connect(self):
        sock = self.sockets.enter_context(socket.socket())
        sock.settimeout(LIMIT_S)
        sock.connect(address(self.options.forwarder))
        return sock

    def accept(self):
        sock = self.sockets.enter_context(self.listener.accept()[0])
        sock.settimeout(LIMIT_S)
        return sock

    def pair(self):
        """A connection through the forwarder: the client's end, and the upstream's."""
        client = self.connect()
        return client, self.accept()

    def close(self):
        self.sockets.close()


def exchange(client, upstream, data=b"ping"):
    client.sendall(data)
    require(receive(upstream, len(data)) == data, "other bytes arrive at the upstream")
    upstream.sendall(data[::-1])
    require(receive(client, len(data)) == data[::-1], "other bytes arrive at the client")


def require_end(sock, who):
    require(sock.recv(1) == b"", f"{who} gets bytes where the end should be")


# --- behaviours ----------------------------------------------------------------------------------


def check_bytes_arrive_unchanged_both_ways(bench):
    client, upstream = bench.pair()
    for length in (1, 32, 1000, 65535, 65536, 65537):
        exchange(client, upstream, content(length, length))
    for sender, receiver in ((client, upstream), (upstream, client)):
        data = content(20 * MIB)
        require(finish(sender, data, receiver) == data, "20 MiB do not arrive as they were sent")


def check_small_messages_do_not_wait(bench):
    """Nothing is corked: 100 exchanges one after the other, far below a delay of 40 or 200 ms."""
    client, upstream = bench.pair()
    started = time.monotonic()
    for i in range(100):
        exchange(client, upstream, content(1 + 37 * i))
    took = time.monotonic() - started
    require(took < 2, f"100 exchanges took {took:.2f} s")


def check_half_close_by_client(bench):
    client, upstream = bench.pair()
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    require(receive_all(upstream) == b"request", "the request arrives otherwise")
    data = content(4 * MIB)
    require(finish(upstream, data, client) == data, "the response after a half-close is not whole")


def check_half_close_by_upstream(bench):
    client, upstream = bench.pair()
    upstream.sendall(b"greeting")
    upstream.shutdown(socket.SHUT_WR)
    require(receive_all(client) == b"greeting", "the greeting arrives otherwise")
    data = content(4 * MIB)
    require(finish(client, data, upstream) == data, "what follows a half-close is not whole")


def check_half_close_comes_after_what_is_buffered(bench):
    client, upstream = bench.pair()
    data = content(256 * MIB)
    sent = send_until_full(client, data)
    client.shutdown(socket.SHUT_WR)
    require(receive_all(upstream) == data[:sent], f"{sent} bytes, then the end, do not arrive so")
    upstream.shutdown(socket.SHUT_WR)
    require_end(client, "the client")


def check_slow_reader_stops_sender(bench):
    """... and not other connections; then all arrives."""
    client, upstream = bench.pair()
    data = content(256 * MIB)
    sent = send_until_full(client, data)
    require(sent < len(data), f"{sent} bytes were taken with nobody reading them")
    exchange(*bench.pair())
    rest = data[sent : sent + 8 * MIB]
    got = finish(client, rest, upstream)
    require(got == data[: sent + len(rest)], "what a slow reader gets is not what was sent")


def check_slow_reader_of_other_direction(bench):
    client, upstream = bench.pair()
    data = content(256 * MIB)
    sent = send_until_full(upstream, data)
    require(sent < len(data), f"{sent} bytes were taken with nobody reading them")
    client.sendall(b"still there")
    require(receive(upstream, 11) == b"still there", "the free direction is held up, too")
    require(receive(client, sent) == data[:sent], "what a slow reader gets is not what was sent")


def check_idle_while_blocked(bench):
    """The client's end is there, behind bytes that nobody takes: a socket shut both ways, which
    epoll reports all the time, if it is let."""
    if not bench.options.pid:
        return
    client, upstream = bench.pair()
    upstream.shutdown(socket.SHUT_WR)
    require_end(client, "the client")
    data = content(256 * MIB)
    sent = send_until_full(client, data)
    client.shutdown(socket.SHUT_WR)
    taken = []
    while unsent(client):
        taken.append(upstream.recv(65536))
        require(taken[-1], "the end arrives before all bytes did")
        time.sleep(0.001)
    time.sleep(0.2)
    before = cpu_seconds(bench.options.pid)
    time.sleep(1)
    used = cpu_seconds(bench.options.pid) - before
    require(used < 0.2, f"the forwarder used {used:.2f} s of CPU in 1 s of waiting")
    got = b"".join(taken) + receive_all(upstream)
    require(got == data[:sent], "what was held does not arrive as it was sent")


def check_reset_by_client(bench):
    client, upstream = bench.pair()
    exchange(client, upstream)
    client.sendall(content(MIB))
    reset(client)
    require_reset(upstream, "the client resets")


def check_reset_by_upstream(bench):
    client, upstream = bench.pair()
    exchange(client, upstream)
    upstream.sendall(content(MIB))
    reset(upstream)
    require_reset(client, "the upstream resets")


def check_reset_of_sender_while_reader_is_slow(bench):
    client, upstream = bench.pair()
    send_until_full(client, content(256 * MIB))
    reset(client)
    time.sleep(0.2)  # the forwarder learns of it while it waits for room
    require_reset(upstream, "the client resets while much is under way")


def check_reset_by_slow_reader(bench):
    client, upstream = bench.pair()
    send_until_full(client, content(256 * MIB))
    reset(upstream)
    require_reset(client, "the upstream resets while much is under way")


def check_reset_after_half_close(bench):
    client, upstream = bench.pair()
    client.shutdown(socket.SHUT_WR)
    require_end(upstream, "the upstream")
    upstream.sendall(b"half a resp")
    require(receive(client, 11) == b"half a resp", "the response arrives otherwise")
    reset(upstream)
    require_reset(client, "the upstream resets after the client's end")


def check_refused_upstream_resets_client(bench):
    bench.listener.close()
    try:
        for _ in range(3):
            try:
                require_reset(bench.connect(), "nobody listens at the upstream")
            except ConnectionResetError:
                pass  # already while connecting: as good
    finally:
        bench.listen()
    exchange(*bench.pair())


def check_many_connections(bench):
    """All open at once, with bytes of their own."""
    clients = {}
    for i in range(bench.options.connections):
        client, upstream = bench.pair()
        clients[i] = (client, upstream)
    for i, (client, upstream) in clients.items():
        exchange(client, upstream, struct.pack("<Q", i))
    for client, upstream in clients.values():
        client.close()
        require_end(upstream, "the upstream")
        upstream.close()


def check_waits_for_room(bench):
    """Of more connections than the forwarder has descriptors for, the rest waits, unharmed."""
    room = bench.options.room
    if not room:
        return
    clients = [bench.connect() for _ in range(room + 10)]
    for i, client in enumerate(clients):
        client.sendall(struct.pack("<Q", i))
    upstreams = [bench.accept() for _ in range(room)]
    bench.listener.settimeout(QUIET_S)
    try:
        bench.accept()
        raise Failure(f"more than {room} connections were forwarded")
    except TimeoutError:
        pass
    bench.listener.settimeout(LIMIT_S)
    seen = {receive(upstream, 8) for upstream in upstreams}
    for sock in clients[:10] + upstreams[:10]:
        sock.close()
    seen |= {receive(bench.accept(), 8) for _ in range(10)}
    require(len(seen) == room + 10, f"{len(seen)} of {room + 10} connections were forwarded")


def check_stop_lets_connections_end(bench):
    """The last one: the forwarder is gone then. Its exit status is for its parent to check."""
    if not bench.options.stop:
        return
    client, upstream = bench.pair()
    exchange(client, upstream)
    os.kill(bench.options.pid, signal.SIGINT)
    deadline = time.monotonic() + LIMIT_S
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        while time.monotonic() < deadline:
            bench.connect().close()
            time.sleep(0.02)
        raise Failure("it goes on accepting connections")
    data = content(4 * MIB)
    require(finish(client, data, upstream) == data, "what was under way does not arrive")
    require(finish(upstream, data, client) == data, "what was under way does not arrive")


# -------------------------------------------------------------------------------------------------


def run_checks(options):
    checks = [(n[6:], f) for n, f in globals().items() if n.startswith("check_")]
    nr_failed = 0
    bench = Bench(options)
    bench.listen()
    for name, check in checks:
        if options.only and name not in options.only:
            continue
        try:
            check(bench)
        except (Failure, OSError) as e:
            nr_failed += 1
            print(f"{name}: {e}")
        finally:
            bench.close()
    return 1 if nr_failed else 0


def raise_descriptors(connections):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    need = 2 * connections + 100
    if need > hard:
        sys.exit(f"{connections} connections need {need} descriptors, the hard limit is {hard}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("address")
    check = commands.add_parser("check")
    check.add_argument("upstream")
    check.add_argument("forwarder")
    check.add_argument("--pid", type=int, help="of the forwarder: also look at its CPU time")
    check.add_argument("--connections", type=int, default=100, help="at once (100)")
    check.add_argument("--room", type=int, help="connections that its descriptors are enough for")
    check.add_argument("--stop", action="store_true", help="end it, with SIGINT; needs --pid")
    check.add_argument("--only", action="append", help="this behaviour, by name; repeatable")
    options = parser.parse_args()
    if options.command == "address":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            print("{}:{}".format(*free.getsockname()))
        return 0
    if options.stop and not options.pid:
        parser.error("--stop needs --pid")
    raise_descriptors(options.connections)
    return run_checks(options)


if __name__ == "__main__":
    sys.exit(main())
