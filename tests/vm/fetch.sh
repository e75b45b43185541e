#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# fetch.sh SUITE DIR [ARCH]: the newest cloud kernel of a Debian suite, from the mirror that this
# system's own apt sources name, verified as apt does. ARCH: in Debian's words, default this
# system's. Puts its packages into DIR (under their own names: they are fetched once) and unpacks
# them there; prints the directory that then has vmlinuz and veth.ko. With FRESH=1, looks for a
# newer one even if DIR has one.
#
# Nothing of the system's own apt state is read or changed but the sources and the keyring.

set -euo pipefail

suite=$1
mkdir -p "$2"
dir=$(realpath "$2")
arch=${3:-$(dpkg --print-architecture)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "fetch.sh: $suite: $*" >&2
	exit 1
}

# mirror: the address of the archive that holds this system's own suite; of one-line and of deb822
# sources.
mirror() {
	local codename
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	shopt -s nullglob
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /dev/null 2>"$work/no_list" |
		sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +([^ ]+) .*\bmain\b.*/\2 \3/p' |
		awk -v suite="$codename" '$2 == suite { print $1 }'
	awk -v RS= -F'\n' -v suite="$codename" '{
		uri = ""
		found = 0
		for (i = 1; i <= NF; i++) {
			n = split($i, words, " ")
			if (words[1] == "URIs:")
				uri = words[2]
			for (j = 2; words[1] == "Suites:" && j <= n; j++)
				found += words[j] == suite
		}
		if (uri && found)
			print uri
	}' /etc/apt/sources.list.d/*.sources /dev/null
}

# With lists and caches of its own. It runs in directories that apt's own user may not enter.
apt() {
	"$1" -q -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=- \
		-o Dir::State="$work" -o Dir::State::Lists="$work/lists" \
		-o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 \
		-o APT::Architecture="$arch" -o APT::Architectures::="$arch" "${@:2}"
}

# The name of the package with the image of the newest kernel. Where the image is signed apart, as
# in sid, it is in linux-binary-*.
newest() {
	local names
	names=$(apt apt-cache pkgnames linux-binary- && apt apt-cache pkgnames linux-image-)
	grep -E "^linux-(binary|image)-[0-9].*-cloud-$arch\$" <<<"$names" |
		awk '{ split($0, part, "-"); print part[3] "-" part[4], part[2] == "image", $0 }' |
		sort -k1,1V -k2,2nr | tail -n 1 | cut -d' ' -f3
}

# The package, and that with its modules where they are apart.
download() {
	local image modules
	image=$(newest)
	[[ -n $image ]] || die "no kernel for cloud-$arch there"
	modules=${image/-binary-/-modules-}
	apt apt-get download "$image" >"$work/log" 2>&1 || die "$(tail -n 2 "$work/log")"
	if [[ $modules != "$image" ]]; then
		apt apt-get download "$modules" >"$work/log" 2>&1 || die "$(tail -n 2 "$work/log")"
	fi
}

fetch() {
	local uri
	uri=$(mirror | head -n 1)
	[[ -n $uri ]] || die "no Debian mirror in this system's apt sources"
	[[ -r $keyring ]] || die "no $keyring: apt-get install debian-archive-keyring"
	echo "deb [arch=$arch target=Packages signed-by=$keyring] $uri $suite main" >"$work/sources"
	: >"$work/status"
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/new"
	# What cannot be had or verified is to apt no more than a warning.
	if ! apt apt-get update -o APT::Update::Error-Mode=any >"$work/log" 2>&1; then
		die "not on this system's mirror (old suites move to the archive):" \
			"$(grep -m 1 -E '^(E|W|Err)' "$work/log")"
	fi
	(cd "$work/new" && download)
	rm -rf "$dir"/*.deb
	mv "$work"/new/*.deb "$dir"
}

# What a virtual machine boots, and the module that the tests load; named after the package.
unpack() {
	local deb root='' file
	for deb in "$dir"/*.deb; do
		[[ $deb == */linux-modules-* ]] || root=${deb%.deb}
	done
	if [[ ! -e $root/vmlinuz ]]; then
		rm -rf "$root"
		mkdir -p "$root" "$work/files"
		for deb in "$dir"/*.deb; do
			dpkg-deb -x "$deb" "$work/files"
		done
		file=$(find "$work/files" -name 'veth.ko*')
		case $file in
		*.xz) busybox unxz -c "$file" >"$root/veth.ko" ;;
		*.ko) cp "$file" "$root" ;;
		*) die "no module veth in its packages" ;;
		esac
		cp "$(find "$work/files" -type f -name 'vmlinuz*')" "$work/vmlinuz" ||
			die "no kernel image in its packages"
		mv "$work/vmlinuz" "$root"
	fi
	echo "$root"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

shopt -s nullglob
have=("$dir"/*.deb)
shopt -u nullglob
if [[ ${#have[@]} -eq 0 || ${FRESH:-} == 1 ]]; then
	fetch
fi
unpack
