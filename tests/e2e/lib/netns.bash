# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# Two network namespaces of a test's own with a wire between them, on which packets can be lost.

NEAR=
FAR=
NEAR_IP=10.77.0.1
FAR_IP=10.77.0.2

# netns_up: makes $NEAR and $FAR.
netns_up() {
	need_program ip
	need_program nft
	NEAR=st-near-$$
	FAR=st-far-$$
	ip netns add "$NEAR"
	ip netns add "$FAR"
	ip -n "$NEAR" link add wire type veth peer name wire netns "$FAR"
	ip -n "$NEAR" address add "$NEAR_IP/24" dev wire
	ip -n "$FAR" address add "$FAR_IP/24" dev wire
	ip -n "$NEAR" link set lo up
	ip -n "$FAR" link set lo up
	ip -n "$NEAR" link set wire up
	ip -n "$FAR" link set wire up
}

# For suite_teardown: also after a failure half way.
netns_down() {
	local name
	for name in $NEAR $FAR; do
		if [[ -e /run/netns/$name ]]; then
			ip netns delete "$name"
		fi
	done
}

# netns_drop NAMESPACE HOOK MATCH...: throws packets away there, at "input" or "output".
netns_drop() {
	ip netns exec "$1" nft -f - <<-EOF
		table inet loss {
			chain $2 {
				type filter hook $2 priority 0
				${@:3} counter drop
			}
		}
	EOF
}

# netns_count NAMESPACE NAME: a counter of nstat(8), such as TcpRetransSegs.
netns_count() {
	ip netns exec "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'
}
