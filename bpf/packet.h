/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_PACKET_H
#define SOCKTRACE_BPF_PACKET_H

/* What a packet is, from its headers: TCP, UDP or neither, and how much payload is left in it. */

#include <bpf/bpf_endian.h>

#include "books.h"

#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86dd

#define IPV4_HEADER_LEN 20
#define UDP_HEADER_LEN	8
#define TCP_HEADER_LEN	20

#define TCP_SYN 0x02
#define TCP_ACK 0x10

struct packet {
	__u32 payload;	  /* bytes; of a packet that is neither TCP nor UDP all that there is */
	__u8 protocol;	  /* IPPROTO_TCP, IPPROTO_UDP; 0: neither, or not told */
	__u8 tcp_flags;	  /* TCP_SYN, TCP_ACK */
	bool is_unpacked; /* its header does not count in its length any more */
	__u16 to_port;
};

/* The protocol above IP; 0: there is none, or extension headers stand between. */
static __always_inline __u8 protocol_above_ip(const struct sk_buff *skb)
{
	__u16 kind = bpf_ntohs(skb->protocol), ip = skb->network_header;
	__u8 protocol = 0;

	/* What was never set is ~0. */
	if (skb->transport_header == (__u16)~0 || skb->transport_header < ip + IPV4_HEADER_LEN)
		return 0;
	if (kind == ETH_P_IP)
		bpf_probe_read_kernel(&protocol, 1, skb->head + ip + 9);
	else if (kind == ETH_P_IPV6)
		bpf_probe_read_kernel(&protocol, 1, skb->head + ip + 6);
	return protocol;
}

/* Where the data begins tells whether the header of @len bytes still counts in the length. */
static __always_inline void measure(struct packet *p, const struct sk_buff *skb, __u32 len)
{
	int at = (int)(skb->data - skb->head) - skb->transport_header;
	int end = at + (int)skb->len;

	p->is_unpacked = at >= (int)len;
	if (!p->is_unpacked)
		p->payload = end > (int)len ? end - len : 0;
}

static __always_inline void look_at_packet(struct packet *p, const struct sk_buff *skb)
{
	__u8 protocol = protocol_above_ip(skb), header[16] = {};
	__u32 len;

	p->payload = skb->len;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return;
	bpf_probe_read_kernel(header, sizeof(header), skb->head + skb->transport_header);
	p->to_port = header[2] << 8 | header[3];
	if (protocol == IPPROTO_UDP) {
		p->protocol = protocol;
		measure(p, skb, UDP_HEADER_LEN);
		return;
	}
	len = (header[12] >> 4) * 4;
	if (len < TCP_HEADER_LEN)
		return;
	p->protocol = protocol;
	p->tcp_flags = header[13];
	measure(p, skb, len);
}

#endif
