// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>

#include "model/names.h"

static void assert_call(const char *abi, uint32_t nr, const char *name)
{
	char buf[NAME_TEXT_LEN];

	assert_string_equal(syscall_name(abi, nr, buf, sizeof(buf)), name);
}

static void test_each_abi_has_its_own_numbers(void **state)
{
	(void)state;
	assert_call("x86_64", 0, "read");
	assert_call("x86_64", 17, "pread64");
	assert_call("x86_64", 288, "accept4");
	assert_call("x86_64", 435, "clone3");
	assert_call("x86_64", 450, "set_mempolicy_home_node");
	assert_call("i386", 3, "read");
	assert_call("i386", 102, "socketcall");
	assert_call("i386", 422, "futex_time64");
	assert_call("aarch64", 63, "read");
	assert_call("arm", 3, "read");
	assert_call("arm", 290, "sendto");
}

static void test_x32_numbers_work_with_and_without_their_bit(void **state)
{
	(void)state;
	assert_call("x32", 1, "write");
	assert_call("x32", 0x40000001, "write");
	assert_call("x32", 0x40000000 | 517, "recvfrom");
	assert_call("x32", 0x40000000 | 462, "mseal");
	assert_call("x32", 0x40000000 | 9999, "syscall_9999");
}

static void test_young_calls_are_known_on_every_abi(void **state)
{
	static const char *const abis[] = {"x86_64", "i386", "x32", "aarch64", "arm"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(abis); i++) {
		assert_call(abis[i], 451, "cachestat");
		assert_call(abis[i], 454, "futex_wake");
		assert_call(abis[i], 462, "mseal");
		assert_call(abis[i], 469, "file_setattr");
	}
}

static void test_numbers_without_a_name_are_still_told(void **state)
{
	(void)state;
	assert_call("x86_64", 9999, "syscall_9999");
	assert_call("x86_64", 470, "syscall_470");
	assert_call("x86_64", UINT32_MAX, "syscall_4294967295");
	assert_call("vax", 1, "syscall_1");
}

static void test_names_are_cut_to_their_buffer(void **state)
{
	char buf[4];

	(void)state;
	assert_string_equal(syscall_name("x86_64", 288, buf, sizeof(buf)), "acc");
}

static void test_abis_are_found_by_name(void **state)
{
	(void)state;
	assert_string_equal(abi_find("x32"), "x32");
	assert_null(abi_find("vax"));
	assert_null(abi_find(""));
}

static void test_only_reads_and_writes_move_bytes(void **state)
{
	static const char *const moving[] = {
		"read",	    "pread64", "readv",	   "preadv",	      "preadv2",  "recv",
		"recvfrom", "recvmsg", "write",	   "pwrite64",	      "writev",	  "pwritev",
		"pwritev2", "send",    "sendto",   "sendmsg",	      "sendfile", "sendfile64",
		"splice",   "tee",     "vmsplice", "copy_file_range",
	};
	static const char *const others[] = {
		"recvmmsg", "sendmmsg", "getrandom", "close", "epoll_wait", "readlink", "reads", "",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moving); i++)
		assert_true(syscall_moves_bytes(moving[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(syscall_moves_bytes(others[i]));
}

static void test_every_errno_has_a_name_that_leads_back(void **state)
{
	char buf[NAME_TEXT_LEN];

	(void)state;
	assert_string_equal(errno_name(EAGAIN, buf, sizeof(buf)), "EAGAIN");
	assert_string_equal(errno_name(524, buf, sizeof(buf)), "ERRNO_524");
	for (int error = 1; error <= 4095; error++)
		assert_int_equal(errno_number(errno_name(error, buf, sizeof(buf))), error);
}

static void test_names_of_no_errno_are_refused(void **state)
{
	static const char *const names[] = {
		"",
		"E",
		"ENOSUCH",
		"ERRNO_",
		"ERRNO_0",
		"ERRNO_4096",
		"ERRNO_99999999999999999999",
		"ERRNO_-1",
		"ERRNO_1x",
		"eagain",
		"0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(errno_number(names[i]), -EINVAL);
}

static void test_every_signal_has_a_name_that_leads_back(void **state)
{
	char buf[NAME_TEXT_LEN];

	(void)state;
	assert_string_equal(signal_name(SIGKILL, buf, sizeof(buf)), "SIGKILL");
	assert_string_equal(signal_name(34, buf, sizeof(buf)), "SIG_34");
	for (int number = 1; number <= 64; number++)
		assert_int_equal(signal_number(signal_name(number, buf, sizeof(buf))), number);
	assert_int_equal(signal_number("SIGNONE"), -EINVAL);
	assert_int_equal(signal_number("SIG_65"), -EINVAL);
	assert_int_equal(signal_number(""), -EINVAL);
}

/* --- sockets --------------------------------------------------------------------------------- */

static void test_words_of_sockets_are_found_in_their_list_alone(void **state)
{
	(void)state;
	assert_string_equal(word_find(WORDS_PROTOCOL, "unix-seqpacket"), "unix-seqpacket");
	assert_string_equal(word_find(WORDS_FAMILY, "unix"), "unix");
	assert_string_equal(word_find(WORDS_ROLE, "listen"), "listen");
	assert_string_equal(word_find(WORDS_STATE, "CLOSE-WAIT"), "CLOSE-WAIT");
	assert_string_equal(word_find(WORDS_CLOSED_BY, "remote"), "remote");
	assert_null(word_find(WORDS_PROTOCOL, "sctp"));
	assert_null(word_find(WORDS_PROTOCOL, "unix"));
	assert_null(word_find(WORDS_ROLE, "remote"));
	assert_null(word_find(WORDS_STATE, ""));
	assert_null(word_find(WORDS_CLOSED_BY, "loca"));
}

static void test_states_of_tcp_have_the_names_of_ss(void **state)
{
	(void)state;
	assert_null(tcp_state_name(0));
	assert_string_equal(tcp_state_name(TCP_ESTABLISHED), "ESTAB");
	assert_string_equal(tcp_state_name(TCP_SYN_SENT), "SYN-SENT");
	assert_string_equal(tcp_state_name(TCP_SYN_RECV), "SYN-RECV");
	assert_string_equal(tcp_state_name(TCP_FIN_WAIT1), "FIN-WAIT-1");
	assert_string_equal(tcp_state_name(TCP_FIN_WAIT2), "FIN-WAIT-2");
	assert_string_equal(tcp_state_name(TCP_TIME_WAIT), "TIME-WAIT");
	assert_string_equal(tcp_state_name(TCP_CLOSE), "UNCONN");
	assert_string_equal(tcp_state_name(TCP_CLOSE_WAIT), "CLOSE-WAIT");
	assert_string_equal(tcp_state_name(TCP_LAST_ACK), "LAST-ACK");
	assert_string_equal(tcp_state_name(TCP_LISTEN), "LISTEN");
	assert_string_equal(tcp_state_name(TCP_CLOSING), "CLOSING");
	assert_null(tcp_state_name(TCP_CLOSING + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_abi_has_its_own_numbers),
		cmocka_unit_test(test_x32_numbers_work_with_and_without_their_bit),
		cmocka_unit_test(test_young_calls_are_known_on_every_abi),
		cmocka_unit_test(test_numbers_without_a_name_are_still_told),
		cmocka_unit_test(test_names_are_cut_to_their_buffer),
		cmocka_unit_test(test_abis_are_found_by_name),
		cmocka_unit_test(test_only_reads_and_writes_move_bytes),
		cmocka_unit_test(test_every_errno_has_a_name_that_leads_back),
		cmocka_unit_test(test_names_of_no_errno_are_refused),
		cmocka_unit_test(test_every_signal_has_a_name_that_leads_back),
		cmocka_unit_test(test_words_of_sockets_are_found_in_their_list_alone),
		cmocka_unit_test(test_states_of_tcp_have_the_names_of_ss),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
