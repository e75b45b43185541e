#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# image.sh OUT IMAGE [SYSROOT]: a root file system for all kernels, as an initramfs: what the build
# has put into OUT, tests/, python3, busybox, ip, and the libraries that they need. For another
# architecture, these are taken from SYSROOT (see tests/cross/sysroot.sh).

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath "$1")
image=$2
sysroot=${3:+$(realpath "$3")}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root" # the parts of workloads run as an ordinary user

# tool_path NAME, library_path NAME: where it is.
tool_path() {
	if [[ -n $sysroot ]]; then
		find "$sysroot"/{,usr/}{,s}bin -name "$1" -print -quit
	else
		command -v "/usr/bin/$1" || command -v "$1"
	fi
}

library_path() {
	if [[ -n $sysroot ]]; then
		find "$sysroot"/{,usr/}lib -name "$1" -print -quit
	else
		ldconfig -p | awk -v name="$1" '$1 == name && /'"$(uname -m | tr _ -)"'/ { print $NF; exit }'
	fi
}

# libraries FILE: those that it needs. A program of another architecture is not asked itself.
libraries() {
	local name
	if [[ -z $sysroot ]]; then
		ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'
		return
	fi
	for name in $(readelf -ld "$1" 2>/dev/null |
		sed -nE 's/.*(interpreter: |\(NEEDED\).*\[)([^]]*)\]/\2/p'); do
		case $name in
		/*) echo "$sysroot$name" ;;
		*) library_path "$name" ;;
		esac
	done
}

# put FILE [AS]: with the libraries that it needs.
put() {
	local library as=${2:-${1#"$sysroot"}}
	mkdir -p "$root$(dirname "$as")"
	cp -L "$1" "$root$as"
	for library in $(libraries "$1"); do
		[[ -e $root${library#"$sysroot"} ]] || put "$library"
	done
}

# The standard library, without what no test uses.
put_python() {
	local python library module
	python=$(tool_path python3)
	put "$python" /usr/bin/python3
	if [[ -n $sysroot ]]; then
		library=$(dirname "$(find "$sysroot"/usr/lib/python3.[0-9]* -name os.py)")
	else
		library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
	fi
	mkdir -p "$root${library#"$sysroot"}"
	tar -C "$library" --exclude=test --exclude=idlelib --exclude=tkinter --exclude=lib2to3 \
		--exclude=ensurepip --exclude=pydoc_data --exclude='config-*' \
		--exclude=dist-packages -cf - . | tar -C "$root${library#"$sysroot"}" -xf -
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
put "$(tool_path busybox)" /usr/bin/busybox
for tool in sh mount insmod ifconfig cat poweroff true; do
	ln -s busybox "$root/usr/bin/$tool"
done
put "$(tool_path ip)" /usr/bin/ip
put_python
# Threads that end need it, and no program names it.
put "$(library_path libgcc_s.so.1)"

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
