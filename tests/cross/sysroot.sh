#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# sysroot.sh ARCH DIR PACKAGE...: unpacks Debian packages of another architecture, and what they
# depend on, into DIR/root: headers and libraries to build against. The system's own package
# database is not touched: apt gets its lists, cache and an empty status in DIR. Sources and keys
# are the system's, and apt verifies as always. Nothing is done if DIR holds this set already.

set -euo pipefail

if (($# < 3)); then
	echo "usage: sysroot.sh ARCH DIR PACKAGE..." >&2
	exit 2
fi
arch=$1
dir=$(realpath -m "$2")
shift 2

if [[ -e $dir/complete && $(<"$dir/complete") == "$arch $*" ]]; then
	exit 0
fi
rm -rf "$dir"
mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/root"
: >"$dir/state/status"

# Read after the system's own configuration. Hooks of that are not for this: they would act on
# the running system. Where DIR lies, apt's own user may have no right to go; hence root.
cat >"$dir/apt.conf" <<CONF
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$dir/state";
Dir::State::lists "$dir/state/lists";
Dir::State::status "$dir/state/status";
Dir::Cache "$dir/cache";
Dir::Cache::archives "$dir/cache/archives";
CONF

log=$dir/apt.log
if ! { apt-get -c "$dir/apt.conf" update &&
	apt-get -c "$dir/apt.conf" -y --download-only install "$@"; } </dev/null >"$log" 2>&1; then
	cat "$log" >&2
	echo "sysroot.sh: apt-get could not fetch the packages for $arch (its words are above)" >&2
	exit 1
fi
for package in "$dir"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$dir/root"
done
rm -rf "$dir/state" "$dir/cache"
echo "$arch $*" >"$dir/complete"
