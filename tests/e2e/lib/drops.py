# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""
drops.py WHAT [ARG...]: to be traced, in a network namespace of its own. Does what is told of in
the function of that name, with what the kernel makes of it: prints that as JSON.
"""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
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


def both_close(client, server):
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


# --- listeners -----------------------------------------------------------------------------------


def listener(backlog, options=()):
    s = socket.socket()
    for option in options:
        s.setsockopt(*option)
    s.bind((LOOPBACK, 0))
    s.listen(backlog)
    return s


def connects(to, number):
    """Connection requests, whether they are answered or not."""
    clients = []
    for _ in range(number):
        c = socket.socket(to.family)
        c.setblocking(False)
        c.connect_ex(to.getsockname())
        clients.append(c)
        time.sleep(0.002)
    return clients


def segments(to, flags, number=20, twice=False, sources=20000):
    """TCP segments without anything in them, made by hand."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    address = socket.inet_aton(LOOPBACK)
    for port in range(sources, sources + number):
        tcp = struct.pack("!HHIIBBHHH", port, to.getsockname()[1], 1000, 1, 5 << 4, flags, 1000, 0, 0)
        pseudo = address + address + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0,
                         address, address)
        for _ in range(2 if twice else 1):
            raw.sendto(ip + tcp, (LOOPBACK, 0))


DEFER = (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
MINTTL = (socket.IPPROTO_IP, 21, 255)


def reject(s):
    """SO_ATTACH_FILTER: ret #0"""
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))


def md5(s):
    """TCP_MD5SIG: signed connections alone"""
    address = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(LOOPBACK)).ljust(128, b"\0")
    s.setsockopt(socket.IPPROTO_TCP, 14, address + struct.pack("=BBHI80s", 0, 0, 6, 0, b"secret"))


def full_at_request(s):
    return connects(s, 8)


def full_at_answer(s, size=10):
    """The queue of a listener that waits for data is found full when that comes."""
    clients = connects(s, 8)
    s.listen(1)
    for c in clients:
        until(lambda c=c: select.select([], [c], [], 0)[1])
        c.setblocking(True)
        c.sendall(b"x" * size)
    return clients


def everything_else(s):
    """What listeners throw away, and answer, that is no overflow."""
    segments(s, 0x02)  # SYN; the kernel, which knows nothing of it, resets what is answered
    segments(s, 0x02, twice=True, sources=21000)
    segments(s, 0x03)  # SYN and FIN
    segments(s, 0x04)  # RST
    segments(s, 0x10)  # ACK
    segments(s, 0x14)  # RST and ACK
    return connects(s, 4)


def full_at_cookie(s):
    """The same of a listener that sends SYN cookies: the answers get lost, data comes later."""
    syncookies(2)
    nft(f"""
        table inet answers {{
            chain input {{
                type filter hook input priority 0
                tcp dport {s.getsockname()[1]} tcp flags & (syn | ack | psh | fin) == ack drop
            }}
        }}""")
    clients = full_at_answer(s)
    until(lambda: counters()["SyncookiesRecv"] >= 8)
    syncookies(1)
    return clients


def syncookies(how):
    with open("/proc/sys/net/ipv4/tcp_syncookies", "w", encoding="ascii") as f:
        f.write(str(how))


def full_of_requests(s):
    """There is no room for more requests, and no cookies: no overflow of the accept queue."""
    syncookies(0)
    segments(s, 0x02)
    syncookies(1)
    return []


# name: length of the queue, options, what happens to it
LISTENERS = {
    "request": (1, (), full_at_request),
    "answer": (64, (DEFER,), full_at_answer),
    "much": (64, (DEFER,), lambda s: full_at_answer(s, 30000)),
    "cookie": (64, (), full_at_cookie),
    "deferred": (64, (DEFER,), full_at_request),
    "else": (64, (), everything_else),
    "minttl": (64, (MINTTL,), full_at_request),
    "filter": (64, (), lambda s: reject(s) or connects(s, 8)),
    "md5": (64, (), lambda s: md5(s) or connects(s, 8)),
    "requests": (1, (), full_of_requests),
}


def overflows(*what):
    """Listeners, each with its overflows: what the namespace counted meanwhile."""
    listeners, others, truth = [], [], []
    for kind in what:
        if kind == "untraced":
            others.append(subprocess.Popen([sys.executable, __file__, "aside"],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            others[-1].stdout.readline()
            continue
        backlog, options, act = LISTENERS[kind]
        s = listener(backlog, options)
        before = counters()["ListenOverflows"]
        for client in act(s):
            client.close()
        time.sleep(0.05)
        truth.append([s.getsockname()[1], counters()["ListenOverflows"] - before, drops(s)])
        listeners.append(s)
    for process in others:
        process.communicate()
    return {"listeners": truth}


def crowd(s, until_s):
    """Clients that come and go."""
    while time.monotonic() < until_s:
        for client in connects(s, 50):
            client.close()


def at_once(family, address):
    """Two listeners overflow at the same time, one of them with answers that come again, too."""
    listeners, held = [], []
    for options in ((), (DEFER,)):
        s = socket.socket(int(family))
        for option in options:
            s.setsockopt(*option)
        s.bind((address, 0))
        s.listen(64 if options else 1)
        listeners.append(s)
        held += full_at_answer(s) if options else full_at_request(s)
    end = time.monotonic() + 1
    threads = [threading.Thread(target=crowd, args=(s, end)) for s in listeners for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for client in held:
        client.close()
    time.sleep(0.1)
    return {"all": counters()["ListenOverflows"]}


def aside():
    """A listener of a process that is not traced overflows, until it is told to end."""
    listener_of_one = listener(1)
    held = connects(listener_of_one, 8)
    print("overflowed", flush=True)
    sys.stdin.read()
    return {"clients": len(held)}


def again():
    """A listener that has overflowed when the trace begins, and does so again."""
    s = listener(1)
    held = connects(s, 8)
    print("ready", flush=True)
    sys.stdin.readline()
    before = counters()["ListenOverflows"]
    held += connects(s, 5)
    time.sleep(0.05)
    truth = counters()["ListenOverflows"] - before
    print(json.dumps({"again": truth, "drops": drops(s), "clients": len(held)}), flush=True)
    sys.stdin.readline()
    sys.exit()


# --- what sockets count themselves ---------------------------------------------------------------


def drops(s):
    """The socket's own counter: SK_MEMINFO_DROPS of SO_MEMINFO."""
    return struct.unpack("9I", s.getsockopt(socket.SOL_SOCKET, 55, 36))[8]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def echo():
    request = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + b"e" * 56
    return request[:2] + struct.pack("!H", checksum(request)) + request[4:]


def full():
    """A receive buffer that is too small, of each kind of socket that has a counter."""
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as f:
        f.write("0 2147483647")
    family, dgram = socket.AF_INET, socket.SOCK_DGRAM
    raw = socket.socket(family, socket.SOCK_RAW, 253)
    raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)
    ping = socket.socket(family, dgram, socket.IPPROTO_ICMP)
    udp = socket.socket(family, dgram)
    packet = socket.socket(socket.AF_PACKET, dgram, socket.htons(0x0800))
    raw.bind((LOOPBACK, 0))
    raw6.bind(("::1", 0))
    udp.bind((LOOPBACK, 0))
    packet.bind(("lo", 0x0800))
    found = {}
    for name, s, message, to in (
            ("raw", raw, b"x" * 64, (LOOPBACK, 0)), ("raw", raw6, b"x" * 64, ("::1", 0)),
            ("ping", ping, echo(), (LOOPBACK, 0)), ("udp", udp, b"x" * 64, udp.getsockname()),
            ("packet", packet, None, None)):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(100):
            (udp if message is None else s).sendto(message or b"x", to or udp.getsockname())
        found[name] = found.get(name, 0) + drops(s)
    found["udp"] = drops(udp)
    found["packet"] = drops(packet)
    return {"drops": found}


def filtered():
    """A raw socket whose filter wants nothing: that, its counter does not count."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    s.bind((LOOPBACK, 0))
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
    for _ in range(20):
        s.sendto(b"x" * 64, (LOOPBACK, 0))
    return {"drops": {"raw": 20 + drops(s)}}


def send_wrong(raw, to, size):
    payload = b"x" * size
    udp = struct.pack("!HHHH", 4444, to[1], 8 + size, 0x1234) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                     socket.inet_aton(to[0]), socket.inet_aton(to[0]))
    raw.sendto(ip + udp, (to[0], 0))


def wrong(how):
    """Datagrams with a wrong checksum, which is looked at when they are read, or waited for."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((LOOPBACK, 0))
    s.setblocking(how == "poll")  # poll(2) looks for who would wait
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    received = 0
    for _ in range(5):
        send_wrong(raw, s.getsockname(), 400)
        if how == "poll":
            poll = select.poll()
            poll.register(s, select.POLLIN)
            poll.poll(0)
        s.sendto(b"good", s.getsockname())
        received += s.recv(1000) == b"good"
    return {"received": received, "drops": {"udp": drops(s)}}


def bad_address():
    """recv(2) to where there is no memory throws the datagram away."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((LOOPBACK, 0))
    for _ in range(3):
        s.sendto(b"x" * 200, s.getsockname())
    failed = LIBC.recv(s.fileno(), ctypes.c_void_p(16), 200, 0)
    return {"failed": failed, "received": len(s.recv(200)), "drops": {"udp": drops(s)}}


def closed(early, end):
    """A duplicate of the descriptor is closed, then come the drops, then an end of some kind."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.bind((LOOPBACK, 0))
    if early == "dup":
        os.close(os.dup(s.fileno()))
    for _ in range(50):
        s.sendto(b"x" * 500, s.getsockname())
    truth = {"drops": {"udp": drops(s)}}
    if end == "close":
        s.close()
    else:
        LIBC.close_range(s.fileno(), s.fileno(), 0)
        s.detach()
    return truth


LIBC = ctypes.CDLL(None)

if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])), flush=True)
