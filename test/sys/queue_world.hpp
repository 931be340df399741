// A simulated kernel with a queue of its model of kqueue on it.
#pragma once
#include <cerrno>
#include <utility>
#include <vector>

#include <spruce/testing.hpp>

#include "../../src/testing/simulated_kevent.hpp"
#include "../harness/harness.hpp"

namespace {

using namespace spruce;
using namespace spruce::detail;
using namespace std::chrono_literals;
using testing::kqueue_of;

constexpr auto rd = kevent_filter::read, wr = kevent_filter::write;
[[maybe_unused]] constexpr unsigned add = kevent_add, drop = kevent_delete, clear = kevent_clear, receipt = kevent_receipt;
[[maybe_unused]] constexpr int all_of_them = 3;
constexpr kqueue_of each[all_of_them] = {kqueue_of::freebsd, kqueue_of::netbsd, kqueue_of::openbsd};

struct queue_world {
    explicit queue_world(kqueue_of of = kqueue_of::freebsd) : sim({.kqueue = of, .stuck_after = 0s}) {
        fd = calls.create(&kernel_of());
        REQUIRE(fd >= 0);
    }
    simulated_kernel& kernel_of() { return *static_cast<simulated_kernel*>(sim.on()->context); }
    static kevent_record record(std::uintptr_t ident, kevent_filter filter, unsigned flags, std::uintptr_t udata = 0) {
        return {ident, udata, 0, 0, static_cast<std::uint16_t>(flags), filter};
    }
    // One change without room for an answer: 0 or -errno.
    int change(int ident, kevent_filter filter, unsigned flags, std::uintptr_t udata = 0) {
        kevent_record const r = record(static_cast<std::uintptr_t>(ident), filter, flags, udata);
        return calls.kevent(&kernel_of(), fd, &r, 1, nullptr, 0, 0);
    }
    std::vector<kevent_record> take(int room = 16, std::int64_t timeout_ns = 0, std::vector<kevent_record> const& changes = {}) {
        std::vector<kevent_record> got(static_cast<std::size_t>(room));
        int const count = calls.kevent(&kernel_of(), fd, changes.data(), static_cast<int>(changes.size()), got.data(), room, timeout_ns);
        REQUIRE(count >= 0 && count <= room);
        got.resize(static_cast<std::size_t>(count));
        return got;
    }
    std::pair<int, int> pipe() { return *sim.make_pipe(); }

    testing::simulation sim;
    kevent_calls const& calls = simulated_kevent_calls(kernel_of());
    int fd = -1;
};
}  // namespace
