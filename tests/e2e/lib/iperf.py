#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Holds a socktrace report of one end of an iperf3 test against what that end says in --json.

iperf.py IPERF REPORT

An end counts what it sent or received itself: the other direction's figures come from the peer,
and are held against the peer's report. What iperf3 does not count, by its source: a cookie of 37
bytes that the client sends first on each TCP stream (COOKIE_SIZE), for UDP one datagram of 4 bytes
each way (UDP_CONNECT_MSG, UDP_CONNECT_REPLY), and what a client reads after the end of a test
("Late receive" in iperf_tcp_recv()): once some streams together have had all that was asked for,
what is on its way in others.
"""

import json
import sys

COOKIE = 37
GREETING = 4


def port(address):
    return int(address.rpartition(":")[2])


def row_of(report, protocol, stream, is_server):
    """A UDP server is greeted on the socket that it then connects: with no one peer for all."""
    def remote(row):
        if protocol == "udp" and is_server:
            return row["remote"]
        return row["remote"].rpartition(":")[2]
    wanted = "*" if protocol == "udp" and is_server else str(stream["remote_port"])
    rows = [r for p in report["processes"] for r in p["sockets"]
            if r["protocol"] == protocol and r["role"] in ("accept", "connect")
            and port(r["local"]) == stream["local_port"] and remote(r) == wanted]
    assert len(rows) == 1, (stream, rows)
    return rows[0]


def expect(what, expected, observed):
    assert expected == observed, f"{what}: iperf3 {expected}, socktrace {observed}"


def check_tcp(iperf, end, row, is_server):
    is_sender = end["sender"]["sender"]
    sent = end["sender"]["bytes"] if is_sender else 0
    received = 0 if is_sender else end["receiver"]["bytes"]
    expect("sent", sent + (0 if is_server else COOKIE), row["send"]["bytes"])
    if not is_server and not is_sender and len(iperf["start"]["connected"]) > 1:
        late = row["receive"]["bytes"] - received
        assert 0 <= late <= end["sender"]["bytes"] - received, f"late: {late}"
        received += late
    expect("received", received + (COOKIE if is_server else 0), row["receive"]["bytes"])
    return sent + received


def check_udp(iperf, end, row, is_server):
    udp, size = end["udp"], iperf["start"]["test_start"]["blksize"]
    moved = udp["packets"] - (0 if udp["sender"] else udp["lost_packets"])
    mine, other = ("send", "receive") if udp["sender"] else ("receive", "send")
    expect(mine, moved * size + GREETING, row[mine]["bytes"])
    expect(other, GREETING, row[other]["bytes"])
    names = {"send": "datagrams_sent", "receive": "datagrams_received"}
    expect("datagrams", moved + 1, row["udp"][names[mine]])
    return moved * size


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        iperf = json.load(f)
    with open(sys.argv[2], encoding="utf-8") as f:
        report = json.load(f)
    assert "error" not in iperf, iperf["error"]
    is_server = "accepted_connection" in iperf["start"]
    streams = list(zip(iperf["start"]["connected"], iperf["end"]["streams"]))
    assert len(streams) == iperf["start"]["test_start"]["num_streams"]
    total = 0
    for stream, end in streams:
        protocol, check = ("udp", check_udp) if "udp" in end else ("tcp", check_tcp)
        total += check(iperf, end, row_of(report, protocol, stream, is_server), is_server)
    assert total > 1000000, f"only {total} bytes"


if __name__ == "__main__":
    main()
