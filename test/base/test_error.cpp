#include <spruce/error.hpp>
#include <spruce/time.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "../../src/base/intrusive_list.hpp"
#include "../harness/harness.hpp"

using namespace spruce;

TEST("every errc has a name and a sentence of its own") {
    for (int code = 1; code <= static_cast<int>(errc::too_long); ++code) {
        error const e(static_cast<errc>(code));
        CHECK(std::strlen(e.name()) > 2);
        CHECK(std::strlen(e.message()) > 5);
        for (int other = 1; other < code; ++other) CHECK(std::strcmp(error(static_cast<errc>(other)).name(), e.name()) != 0);
    }
    CHECK_EQ(error(errc::timed_out).name(), "timed_out");
    CHECK_EQ(error(errc::too_long).name(), "too_long");
}

TEST("an error of the system keeps its errno and its usual name") {
    error const e = error::from_errno(ECONNREFUSED);
    CHECK_EQ(e.name(), "ECONNREFUSED");
    CHECK_EQ(e.errno_value(), ECONNREFUSED);
    CHECK(e != error::from_errno(EPIPE));
    CHECK_EQ(error(errc::full).errno_value(), 0);
    CHECK(std::strlen(error::from_errno(123456).message()) > 5);
}

TEST("an error of the system has the sentence that strerror() has for it, which people search for") {
#if defined(__GLIBC__)
    for (int number = 1; number != 134; ++number) {
        error const e = error::from_errno(number);
        if (std::strcmp(e.name(), "errno") != 0) CHECK_EQ(std::string(e.message()), std::strerror(number));
    }
#endif
    CHECK_EQ(error::from_errno(EPIPE).message(), "Broken pipe");
}

TEST("errors are equal when domain and code are, whoever caused them") {
    static constexpr error_domain mine{"mine", [](int) noexcept -> char const* { return "my own"; }};
    error const e(mine, 1);
    CHECK(e != error(errc::canceled));
    CHECK_EQ(e.name(), "mine");
    CHECK_EQ(e.message(), "my own");
    CHECK(error(errc::canceled).caused_by({7}) == errc::canceled);
    CHECK(error(errc::canceled).caused_by({7}).is_from({7}));
    CHECK(!error(errc::canceled).is_from({0}));
}

TEST("a detail is remembered until sixteen others came") {
    error const e = detail::with_detail(errc::invalid_argument, "port");
    CHECK_EQ(e.detail(), "port");
    for (int i = 0; i != 15; ++i) static_cast<void>(detail::with_detail(errc::full, "other"));
    CHECK_EQ(e.detail(), "port");
    static_cast<void>(detail::with_detail(errc::full, "other"));
    CHECK_EQ(e.detail(), "");
    char long_text[300];
    std::memset(long_text, 'x', sizeof long_text - 1);
    long_text[299] = '\0';
    CHECK_EQ(std::strlen(detail::with_detail(errc::full, long_text).detail()), 119U);
}

TEST("a detail belongs to one error value and its copies, and an error made by hand has none") {
    error const first = detail::with_detail(errc::full, "max_tasks");
    CHECK_EQ(error(errc::full).detail(), "");
    CHECK(first == errc::full && error(errc::full) == first);
    error const second = detail::with_detail(errc::full, "inbox");
    CHECK(first == second);
    CHECK_EQ(first.detail(), "max_tasks");
    CHECK_EQ(second.detail(), "inbox");
    CHECK_EQ(error(errc::full).detail(), "");
    error copy = first.caused_by({7});
    CHECK_EQ(copy.detail(), "max_tasks");
    CHECK(copy.is_from({7}) && !first.is_from({7}));
    result<void> const carried = copy;
    CHECK_EQ(result<int>(carried.error()).error().detail(), "max_tasks");
    copy = errc::full;
    CHECK_EQ(copy.detail(), "");
}

TEST("an error with a detail is what it was without: domain, code, name, message, errno") {
    error const own = detail::with_detail(errc::too_long, "a path");
    CHECK(&own.domain() == &error::spruce_domain());
    CHECK_EQ(own.code(), static_cast<int>(errc::too_long));
    CHECK_EQ(own.name(), "too_long");
    CHECK_EQ(own.message(), error(errc::too_long).message());
    CHECK_EQ(own.errno_value(), 0);
    error const of_system = detail::with_detail(error::from_errno(EPIPE), "a pipe");
    CHECK(&of_system.domain() == &error::errno_domain());
    CHECK(of_system == error::from_errno(EPIPE) && error::from_errno(EPIPE) == of_system);
    CHECK(of_system != error::from_errno(ECONNRESET));
    CHECK_EQ(of_system.name(), "EPIPE");
    CHECK_EQ(of_system.errno_value(), EPIPE);
    // The same number in the two domains, with and without a detail.
    error const alike = error::from_errno(static_cast<int>(errc::too_long));
    CHECK(own != alike && alike != own && own != detail::with_detail(alike, "x"));
}

TEST("an error of a user's domain has no detail, and stays as it was") {
    static constexpr error_domain mine{"mine", [](int) noexcept -> char const* { return "my own"; }};
    error const e = detail::with_detail({mine, -5}, "text");
    CHECK(e == error(mine, -5));
    CHECK_EQ(e.code(), -5);
    CHECK_EQ(e.detail(), "");
}

TEST("an error's detail is not that of another thread's error with the same place in the ring") {
    error there = errc::full;
    std::thread([&] {
        for (int i = 0; i != 40; ++i) there = detail::with_detail(errc::full, "there");
        CHECK_EQ(there.detail(), "there");
    }).join();
    for (int i = 0; i != 64; ++i) {
        CHECK_EQ(there.detail(), "");
        CHECK_EQ(detail::with_detail(errc::full, "here").detail(), "here");
    }
}

TEST("what was overwritten is empty however many details have come since") {
    error const e = detail::with_detail(errc::full, "first");
    for (int i = 0; i != 3'000; ++i) {
        if (i >= 16) CHECK_EQ(e.detail(), "");
        error const next = detail::with_detail(errc::full, "next");
        CHECK_EQ(next.detail(), "next");
    }
}

TEST("an empty handle's 64 bits keep the error and its detail") {
    error const kinds[] = {errc::full, error::from_errno(EMFILE), detail::with_detail(errc::full, "max_fds"),
                           detail::with_detail(error::from_errno(ENOMEM), "a stack")};
    for (error const& e : kinds) {
        detail::error_word const word = detail::pack(e);
        CHECK_EQ(word & 1, 1U);
        CHECK(detail::unpack(word) == e);
        CHECK_EQ(detail::unpack(word).detail(), std::string_view(e.detail()));
    }
}

TEST("deadlines tell what is left, and milliseconds for poll are rounded up") {
    using namespace std::chrono_literals;
    CHECK(!never().passed());
    CHECK_EQ(never().poll_timeout_ms(), -1);
    CHECK(in(0s).passed());
    CHECK(in(-1s).passed());
    CHECK_EQ(in(1ns).poll_timeout_ms(), 1);
    CHECK_EQ(in(1ms).poll_timeout_ms(), 1);
    CHECK_EQ(in(24h * 365 * 100).poll_timeout_ms(), 2147483647);
    CHECK(at(loop_clock::now() - 1s).passed());
    CHECK(at(loop_clock::now() + 1h).remaining() > 59min);
}

TEST("a list's members can leave from anywhere, and be spliced") {
    struct member : detail::list_link {};
    detail::intrusive_list<member> list, other;
    member a, b, c;
    list.push_back(a);
    list.push_back(b);
    list.push_front(c);
    CHECK(list.front() == &c);
    a.unlink();
    CHECK(list.after(c) == &b);
    CHECK(list.after(b) == nullptr);
    other.push_back(a);
    list.splice_to(other);
    CHECK(list.empty());
    CHECK(other.take_front() == &a);
    CHECK(other.take_front() == &c);
    CHECK(other.take_front() == &b);
    CHECK(other.take_front() == nullptr);
}
