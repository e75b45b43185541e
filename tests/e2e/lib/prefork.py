# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""
A server of one parent and several children, which knows who moved the bytes of each connection.

prefork.py parent N PORT-FILE    the parent listens and accepts; a child for each of N connections
                                 serves it
prefork.py children N PORT-FILE  the parent listens; three children accept on the inherited listener
prefork.py ask N PORT-FILE       N clients, one after the other
prefork.py check REPORT MODE N   holds a report of the first two against that

A request is REQUEST bytes, a reply REPLY.
"""
import json
import os
import signal
import socket
import sys
import time

REQUEST = 100
REPLY = 5000
CHILDREN = 3


def read_exactly(connection, size):
    got = 0
    while got < size:
        more = connection.recv(size - got)
        assert more, "the other side closed early"
        got += len(more)


def serve(connection):
    read_exactly(connection, REQUEST)
    connection.sendall(bytes(REPLY))
    assert connection.recv(1) == b""
    connection.close()


def listen(path):
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(path + ".new", path)
    return listener


def parent_accepts(nr, path):
    listener = listen(path)
    for _ in range(nr):
        connection, _ = listener.accept()
        pid = os.fork()
        if not pid:
            listener.close()
            serve(connection)
            os._exit(0)
        connection.close()
        os.waitpid(pid, 0)


def children_accept(nr, path):
    listener = listen(path)
    children = []
    for _ in range(CHILDREN):
        pid = os.fork()
        if not pid:
            while True:
                connection, _ = listener.accept()
                serve(connection)
        children.append(pid)
    # The clients say when they are done.
    while not os.path.exists(path + ".done"):
        time.sleep(0.01)
    for pid in children:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    assert nr


def ask(nr, path):
    while not os.path.exists(path):
        time.sleep(0.01)
    with open(path, encoding="ascii") as f:
        port = int(f.read())
    for _ in range(nr):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(bytes(REQUEST))
            read_exactly(s, REPLY)
    with open(path + ".done", "w", encoding="ascii"):
        pass


def once(row):
    """How many connections a row counts that no other row does."""
    return row["connections"] - row["connections_elsewhere"]


def has_figures(row):
    return row["tcp"]["rtt_ns"] is not None


def check(path, mode, nr):
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    rows = [(p, s) for p in report["processes"] for s in p["sockets"] if s["protocol"] == "tcp"]
    accepted = [(p, s) for p, s in rows if s["role"] == "accept"]
    assert sum(once(s) for _, s in accepted) == nr, [(p["pid"], once(s)) for p, s in accepted]
    assert sum(s["receive"]["bytes"] for _, s in accepted) == nr * REQUEST
    assert sum(s["send"]["bytes"] for _, s in accepted) == nr * REPLY
    for p, s in accepted:
        moved = s["send"]["bytes"] + s["receive"]["bytes"]
        assert has_figures(s) == (moved > 0) == (once(s) > 0), (p["pid"], s)
        assert moved == once(s) * (REQUEST + REPLY), (p["pid"], s)
        assert (s["tcp"]["retransmits"] is not None) == (moved > 0), (p["pid"], s)
    listeners = [(p, s) for p, s in rows if s["role"] == "listen"]
    assert sum(once(s) for _, s in listeners) == 1, listeners
    assert [p["pid"] for p, s in listeners if once(s)] == [report["processes"][0]["pid"]] or \
        mode == "parent", listeners
    books = [a for a in report["audits"] if a["name"] == "tcp_bytes"]
    assert books and all(a["ok"] for a in books), books
    # One book for each side of each connection, wherever it stands.
    assert sum(a["expected"] for a in books) == nr * (REQUEST + REPLY), books


MODES = {"parent": parent_accepts, "children": children_accept, "ask": ask}

if sys.argv[1] == "check":
    check(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    MODES[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
