#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Installs those of the named Debian packages that are missing, after saying so. Elsewhere than on
# Debian, says which programs and libraries they stand for. Servers that come with a package are
# installed, not started.
set -euo pipefail

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: not a Debian system. What building and testing need, by their Debian names:"
	printf '  %s\n' "$@"
	echo "deps: install their equivalents, then run the same command again; going on without."
	exit 0
fi

missing=()
for package in "$@"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>&1) || state=none
	[[ $state == installed ]] || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
	exit 0
fi

echo "deps: installing from Debian: ${missing[*]}"
if [[ $EUID -ne 0 ]]; then
	echo "deps: that needs root: run this with sudo, or: apt-get install ${missing[*]}" >&2
	exit 1
fi

# invoke-rc.d(8) asks this program before it starts a service; 101 forbids it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
	</dev/null >"$log" 2>&1; then
	cat "$log" >&2
	echo "deps: apt-get failed (its words are above)" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
