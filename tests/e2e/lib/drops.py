# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""
drops.py WHAT [ARG...]: to be traced, in a network namespace of its own. Does what is told of in
the function of that name, with what the kernel makes of it: prints that as JSON.
"""
import json
import socket
import struct
import subprocess
import sys
import time

LOOPBACK = "127.0.0.1"


def counters():
    """Of this namespace, by name as nstat(8) has it."""
    found = {}
    for path, prefix in (("netstat", True), ("snmp", False)):
        with open(f"/proc/self/net/{path}", encoding="ascii") as f:
            lines = f.read().splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            kind = names.split(":")[0]
            for name, value in zip(names.split()[1:], values.split()[1:]):
                found[name if prefix else kind + name] = int(value)
    return found


def until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    sys.exit("what was waited for did not happen")


def nft(rules):
    subprocess.run(["nft", "-f", "-"], text=True, check=True, input=rules)


# --- ends of connections -------------------------------------------------------------------------


def read_all(s):
    while s.recv(1000):
        pass


def client_first(client, server):
    client.close()
    read_all(server)
    server.close()


def server_first(client, server):
    server.close()
    read_all(client)
    client.close()


def half(client, server):
    client.shutdown(socket.SHUT_WR)
    read_all(server)
    server.sendall(b"r" * 200)
    server.close()
    read_all(client)
    client.close()


def at_once(client, server):
    client.close()
    server.close()


def reset(client, server):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    server.close()


def closes(how, number):
    """Connections of which nothing is lost, and how they end."""
    listener = socket.create_server((LOOPBACK, 0))
    for _ in range(int(number)):
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        client.sendall(b"q" * 100)
        server.recv(1000)
        globals()[how](client, server)
    bad = {name: value for name, value in counters().items() if value and any(
        word in name for word in ("Drop", "Overflow", "Retrans", "Prune", "Discard", "InErrs"))}
    return {"trouble": bad}


def keepalive():
    """A connection on which nothing moves but the kernel's questions and answers."""
    listener = socket.create_server((LOOPBACK, 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    until(lambda: counters()["TCPKeepAlive"] >= 2)
    server.close()
    return {}


# --- losses --------------------------------------------------------------------------------------


def losses():
    """Data that nobody reads, requests that nobody answers, a FIN that a filter throws away."""
    listener = socket.create_server((LOOPBACK, 0))
    port = listener.getsockname()[1]
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.close()
    until(lambda: counters()["TcpCurrEstab"] == 1)
    server.sendall(b"late" * 25)  # to a socket that is closed
    server.close()

    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    nft(f"""
        table inet loss {{
            chain input {{
                type filter hook input priority 0
                tcp dport {port} tcp flags & fin == fin counter drop
            }}
        }}""")
    client.close()
    until(lambda: counters()["TcpRetransSegs"] >= 2)
    listener.close()
    for _ in range(50):
        with socket.socket() as s:
            s.connect_ex((LOOPBACK, port))
    return {"thrown": 1 + counters()["TcpRetransSegs"]}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])), flush=True)
