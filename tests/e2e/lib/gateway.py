#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""gateway.py ADDRESS:PORT: how a gateway treats peers that behave oddly. 1: what failed is said."""
import random
import socket
import struct
import sys
import time

FRAME = struct.Struct("<IHBBIHBBQII")  # a request and a reply alike
NEW, CANCEL, HEARTBEAT, ACCEPTED, CANCELLED, REJECTED = range(1, 7)
MALFORMED, UNKNOWN_SYMBOL, BAD_PRICE, BAD_QUANTITY, DUPLICATE_ID, UNKNOWN_ORDER = range(1, 7)
host, port = sys.argv[1].rsplit(":", 1)


def request(sequence, kind, id=0, symbol=0, side=0, market=0, quantity=0, price=0, length=32, magic=0x4F47, version=1):
    frame = FRAME.pack(length, magic, version, kind, sequence, symbol, side, market, id, quantity, price)
    return frame.ljust(length, b"\0")


def connect():
    s = socket.create_connection((host, int(port)), timeout=10)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def reply(s):
    data = read(s, 32)
    assert len(data) == 32, f"{len(data)} bytes of a reply"
    _, magic, version, kind, sequence, reason, resting, _, id, filled, remaining = FRAME.unpack(data)
    assert (magic, version) == (0x4F47, 1), "no reply"
    return dict(kind=kind, sequence=sequence, reason=reason, resting=resting, id=id, filled=filled, remaining=remaining)


def expect(got, **want):
    for name, value in want.items():
        assert got[name] == value, f"{name} is {got[name]}, not {value}: {got}"


def at_end(s):
    assert s.recv(1) == b"", "more than the replies came"
    s.close()


def orders_trade_rest_and_cancel():
    a, b = connect(), connect()
    a.sendall(request(1, NEW, 7, quantity=10, price=100))
    expect(reply(a), kind=ACCEPTED, filled=0, remaining=10, resting=1, id=7, sequence=1)
    b.sendall(request(1, NEW, 7, side=1, quantity=4, price=90))
    expect(reply(b), kind=ACCEPTED, filled=4, remaining=0, resting=0)
    a.sendall(request(2, CANCEL, 7))
    expect(reply(a), kind=CANCELLED, filled=4, remaining=6, sequence=2)
    a.sendall(request(3, CANCEL, 7))
    expect(reply(a), kind=REJECTED, reason=UNKNOWN_ORDER)
    a.sendall(request(4, NEW, 8, market=1, quantity=5))
    expect(reply(a), kind=ACCEPTED, filled=0, remaining=5, resting=0)
    for s in a, b:
        s.shutdown(socket.SHUT_WR)
        at_end(s)


def what_is_wrong_is_rejected():
    s = connect()
    s.sendall(
        request(1, NEW, 1, symbol=8, quantity=1, price=1) + request(2, NEW, 1, quantity=1, price=4096)
        + request(3, NEW, 1, quantity=0, price=1) + request(4, NEW, 1, quantity=1, price=1)
        + request(5, NEW, 1, quantity=1, price=1) + request(6, CANCEL, 2) + request(7, HEARTBEAT, 99)
    )
    for reason in UNKNOWN_SYMBOL, BAD_PRICE, BAD_QUANTITY, None, DUPLICATE_ID, UNKNOWN_ORDER:
        got = reply(s)
        expect(got, kind=REJECTED, reason=reason) if reason else expect(got, kind=ACCEPTED)
    expect(reply(s), kind=HEARTBEAT, id=99, sequence=7)
    s.shutdown(socket.SHUT_WR)
    at_end(s)


def malformed_frames_are_rejected_and_end_the_connection():
    good = request(1, HEARTBEAT)
    for bad in (
        request(2, HEARTBEAT, magic=1), request(2, HEARTBEAT, version=2), request(2, 9), request(2, ACCEPTED),
        request(3, HEARTBEAT), request(2, NEW, side=2), request(2, NEW, market=2),
        struct.pack("<IHBBI", 31, 0x4F47, 1, HEARTBEAT, 2), struct.pack("<IHBBI", 16385, 0x4F47, 1, HEARTBEAT, 2),
    ):
        s = connect()
        s.sendall(good + bad)
        expect(reply(s), kind=HEARTBEAT)
        expect(reply(s), kind=REJECTED, reason=MALFORMED, sequence=2)
        at_end(s)


def half_a_frame_at_the_end_is_malformed():
    s = connect()
    s.sendall(request(1, HEARTBEAT) + request(2, HEARTBEAT)[:20])
    s.shutdown(socket.SHUT_WR)
    expect(reply(s), kind=HEARTBEAT)
    expect(reply(s), kind=REJECTED, reason=MALFORMED)
    at_end(s)


def frames_may_come_in_any_pieces():
    stream = b"".join(request(i + 1, HEARTBEAT, i, length=random.choice([32, 33, 500, 16384])) for i in range(60))
    s = connect()
    at = 0
    while at < len(stream):
        size = random.choice([1, 7, 31, 32, 4000, 20000])
        s.sendall(stream[at : at + size])
        at += size
    for i in range(60):
        expect(reply(s), kind=HEARTBEAT, id=i, sequence=i + 1)
    s.shutdown(socket.SHUT_WR)
    at_end(s)


def a_half_closed_peer_is_answered_to_the_end():
    s = connect()
    s.sendall(b"".join(request(i + 1, HEARTBEAT, i) for i in range(1000)))
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    for i in range(1000):
        expect(reply(s), kind=HEARTBEAT, id=i)
    at_end(s)


def a_slow_reader_gets_every_reply():
    """Sends until the gateway takes no more, and only then reads."""
    s = connect()
    s.setblocking(False)
    sent, buffer, number = 0, b"", 0
    stalled_since = None
    while number < 1000000 and (stalled_since is None or time.monotonic() - stalled_since < 1):
        if not buffer:
            buffer = b"".join(request(number + i + 1, HEARTBEAT, number + i) for i in range(1000))
            number += 1000
        try:
            n = s.send(buffer)
            buffer, sent, stalled_since = buffer[n:], sent + n, None
        except BlockingIOError:
            stalled_since = stalled_since or time.monotonic()
            time.sleep(0.01)
    assert stalled_since, "it took everything"
    other = connect()
    other.sendall(request(1, HEARTBEAT))
    expect(reply(other), kind=HEARTBEAT)
    other.close()
    s.settimeout(10)
    whole = sent // 32
    for i in range(whole):
        expect(reply(s), sequence=i + 1)
    s.sendall(buffer[: (32 - sent % 32) % 32])
    s.shutdown(socket.SHUT_WR)
    rest = 1 if sent % 32 else 0
    for i in range(rest):
        expect(reply(s), sequence=whole + 1)
    at_end(s)


def a_reset_cancels_what_rests():
    a = connect()
    a.sendall(request(1, NEW, 1, symbol=3, quantity=10, price=1000))
    expect(reply(a), resting=1)
    a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    a.close()
    time.sleep(0.1)
    b = connect()
    b.sendall(request(1, NEW, 1, symbol=3, side=1, market=1, quantity=10))
    expect(reply(b), filled=0, remaining=10, resting=0)
    b.close()


failed = 0
for check in [f for n, f in list(globals().items()) if callable(f) and getattr(f, "__module__", "") == "__main__"
              and n not in ("request", "connect", "read", "reply", "expect", "at_end")]:
    try:
        check()
    except (AssertionError, OSError) as e:
        print(f"{check.__name__}: {e}")
        failed = 1
sys.exit(failed)
