#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# boot.sh KERNEL IMAGE SECONDS LOG: boots the kernel of directory KERNEL (see fetch.sh) with IMAGE
# (see image.sh) under software emulation, until it powers off. LOG.results has what the suite
# says, LOG.console the rest; LOG.initrd may go. Status 124: the time was not enough.

set -euo pipefail

kernel=$1
image=$2
seconds=$3
log=$4

case $(uname -m) in
x86_64)
	machine=(qemu-system-x86_64)
	console=ttyS0
	;;
*)
	echo "boot.sh: $(uname -m): not done yet" >&2
	exit 1
	;;
esac

# The module is this kernel's own: a second archive behind the first.
(cd "$kernel" && echo veth.ko | busybox cpio -o -H newc 2>"$log.cpio") |
	cat "$image" - >"$log.initrd"
rm "$log.cpio"

# Two CPUs on one thread of the host's: other kernels run beside this one, and no instruction needs
# the emulator's locks. Tests wait for grace periods of the kernel; expedited ones are shorter. With
# QEMU 7.2's cmpxchg16b, kernels panic (double fault in kmalloc); so they do if their check of the
# timer comes while the host is busy.
exec timeout "$seconds" nice -n 10 "${machine[@]}" -accel tcg,thread=single -cpu max,-cx16 \
	-m 1024 -smp 2 -display none -monitor none -nic none -no-reboot \
	-serial "file:$log.console" -serial "file:$log.results" \
	-kernel "$kernel/vmlinuz" -initrd "$log.initrd" \
	-append "console=$console panic=-1 quiet rdinit=/init no_timer_check mitigations=off \
rcupdate.rcu_expedited=1" \
	</dev/null
