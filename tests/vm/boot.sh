#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# boot.sh KERNEL IMAGE SECONDS LOG [ARCH]: boots the kernel of directory KERNEL (see fetch.sh) with
# IMAGE (see image.sh) under software emulation, until it powers off. ARCH: in Debian's words,
# default this system's. LOG.results has what the suite says, LOG.console the rest; LOG.initrd may
# go. Status 124: the time was not enough.

set -euo pipefail

kernel=$1
image=$2
seconds=$3
log=$4
arch=${5:-$(dpkg --print-architecture)}

case $arch in
amd64)
	# With QEMU 7.2's cmpxchg16b, kernels panic (double fault in kmalloc); so they do if their
	# check of the timer comes while the host is busy.
	machine=(qemu-system-x86_64 -cpu "max,-cx16")
	second=isa-serial
	parameters="console=ttyS0 RESULTS=ttyS1 no_timer_check"
	;;
arm64)
	# This processor does not sign pointers; emulated, that takes long. The board has one serial
	# line of another kind.
	machine=(qemu-system-aarch64 -M virt -cpu neoverse-n1)
	second=pci-serial
	parameters="console=ttyAMA0 RESULTS=ttyS0"
	;;
*)
	echo "boot.sh: $arch: not done yet" >&2
	exit 1
	;;
esac

# What does not depend on the processor is tested with kernels for this system's.
if [[ $arch != "$(dpkg --print-architecture)" ]]; then
	parameters+=" SUITE=few"
fi

# The module is this kernel's own: a second archive behind the first.
(cd "$kernel" && echo veth.ko | busybox cpio -o -H newc 2>"$log.cpio") |
	cat "$image" - >"$log.initrd"
rm "$log.cpio"

# Two CPUs on one thread of the host's: other kernels run beside this one, and no instruction needs
# the emulator's locks. Tests wait for grace periods of the kernel; expedited ones are shorter.
# The kernel hands names in capitals on to init.
exec timeout "$seconds" nice -n 10 "${machine[@]}" -accel tcg,thread=single \
	-m 1024 -smp 2 -display none -monitor none -nic none -no-reboot \
	-serial "file:$log.console" -chardev "file,id=results,path=$log.results" \
	-device "$second,chardev=results" -kernel "$kernel/vmlinuz" -initrd "$log.initrd" \
	-append "$parameters panic=-1 quiet rdinit=/init mitigations=off rcupdate.rcu_expedited=1" \
	</dev/null
