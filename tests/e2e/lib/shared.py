#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""shared.py BYTES: two processes each send BYTES on one TCP connection, and are blocked in it.

Prints their process ids, and reads what they sent once SIGUSR1 asks for it.
"""

import os
import signal
import socket
import sys
import time

size = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
with socket.create_server(("127.0.0.1", 0)) as listener:
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()

senders = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        far.close()
        near.sendall(bytes(size))
        os._exit(0)
    senders.append(pid)
near.close()


def is_blocked(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


while not all(is_blocked(pid) for pid in senders):
    time.sleep(0.01)
print(*senders, flush=True)
signal.sigwait({signal.SIGUSR1})
left = 2 * size
while left:
    left -= len(far.recv(1 << 20))
for pid in senders:
    os.waitpid(pid, 0)
