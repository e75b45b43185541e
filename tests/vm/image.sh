#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# image.sh OUT IMAGE: a root file system for all kernels, as an initramfs: what the build has put
# into OUT, tests/, python3, busybox, and the libraries that they need.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath "$1")
image=$2
python=$(command -v /usr/bin/python3 || command -v python3)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root" # the parts of workloads run as an ordinary user

# put FILE [AS]: with the libraries that it needs.
put() {
	local library as=${2:-$1}
	mkdir -p "$root$(dirname "$as")"
	cp -L "$1" "$root$as"
	for library in $(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'); do
		[[ -e $root$library ]] || put "$library"
	done
}

# The standard library, without what no test uses.
put_python() {
	local library module
	put "$python" /usr/bin/python3
	library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	mkdir -p "$root$library"
	tar -C "$library" --exclude=test --exclude=idlelib --exclude=tkinter --exclude=lib2to3 \
		--exclude=ensurepip --exclude=pydoc_data --exclude='config-*' \
		--exclude=dist-packages -cf - . | tar -C "$root$library" -xf -
	for module in "$library"/lib-dynload/*.so; do
		put "$module"
	done
}

for directory in proc sys dev tmp run etc root usr/bin usr/sbin usr/lib; do
	mkdir -p "$root/$directory"
done
for link in bin sbin lib lib64; do
	mkdir -p "$root/usr/$link"
	ln -s "usr/$link" "$root/$link"
done
put "$(command -v busybox)" /usr/bin/busybox
for tool in sh mount insmod ifconfig cat poweroff true; do
	ln -s busybox "$root/usr/bin/$tool"
done
put "$(command -v ip)" /usr/bin/ip
put_python
# Threads that end need it, and no program names it.
put "$(ldconfig -p | awk '/libgcc_s\.so\.1 .*'"$(uname -m | tr _ -)"'/ { print $NF; exit }')"

put "$out/socktrace" /build/socktrace
for program in "$out"/tests/e2e/*; do
	[[ $program == *.d || ! -x $program ]] || put "$program" "/build/tests/e2e/$(basename "$program")"
done
mkdir -p "$root/tests/e2e"
cp -r "$here/../e2e/lib" "$root/tests/e2e/lib"
cp -r "$here" "$root/tests/vm"
"$here/probes.py" "$here/../.." >"$root/build/probes.json"
cp /etc/passwd /etc/group "$root/etc"
echo "127.0.0.1 localhost" >"$root/etc/hosts"
cp "$here/init" "$root/init"
chmod 1777 "$root/tmp"

(cd "$root" && find . | busybox cpio -o -H newc) >"$image.new" 2>"$root/tmp/said" || {
	cat "$root/tmp/said" >&2
	exit 1
}
mv "$image.new" "$image"
