// One poller under test, with the fds of its kernel. Each test of the contract runs over every poller there is.
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <spruce/loop.hpp>
#include <spruce/testing.hpp>

#include "../../src/sys/kernel.hpp"
#include "../harness/harness.hpp"

namespace contract {

using namespace spruce;
using namespace spruce::detail;

// kqueue is run over its model, as of each BSD, and over the system's where there is one.
enum class backend { epoll, poll, simulated, kqueue, kqueue_netbsd, kqueue_openbsd, kqueue_native };

// A heap that refuses from some allocation on, and counts what it gave.
struct moody_heap {
    long left = -1;   // how many it still gives; negative: all
    long out = 0;
    memory_hook hook() { return {take, give, this}; }
    static void* take(void* at, std::size_t bytes, std::size_t alignment) noexcept {
        auto& h = *static_cast<moody_heap*>(at);
        if (h.left == 0) return nullptr;
        if (h.left > 0) --h.left;
        ++h.out;
        return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    }
    static void give(void* at, void* block, std::size_t, std::size_t) noexcept {
        --static_cast<moody_heap*>(at)->out;
        std::free(block);
    }
};

struct pair_of {
    int a, b;
};

class subject {
public:
    explicit subject(backend of) : of_(of) {
        // Nobody wakes a poller that waits for ever but in the tests with a thread: a minute is for ever.
        testing::simulation_options patient{.stuck_after = std::chrono::minutes(1)};
        if (of == backend::kqueue) patient.kqueue = testing::kqueue_of::freebsd;
        if (of == backend::kqueue_netbsd) patient.kqueue = testing::kqueue_of::netbsd;
        if (of == backend::kqueue_openbsd) patient.kqueue = testing::kqueue_of::openbsd;
        if (!on_the_system()) simulation_ = std::make_unique<testing::simulation>(patient);
        int const got = make(made_);
        if (got == -ENOSYS && on_the_system()) harness::skip("this system has none of that kind");
        REQUIRE(got == 0);
    }
    ~subject() {
        made_.calls->close(made_.context);
        while (!open_.empty()) close(open_.back());
        CHECK_EQ(heap.out, 0L);
        if (simulation_) CHECK_EQ(simulation_->open_fds(), 0U);
    }
    subject(subject const&) = delete;
    subject& operator=(subject const&) = delete;

    kernel& on() { return simulation_ ? *simulation_->on() : native_kernel(); }
    poller_calls const& calls() const { return *made_.calls; }
    int make(kernel::made_poller& out) {
        spruce::poller which = spruce::poller::best;
        if (of_ == backend::epoll) which = spruce::poller::epoll;
        if (of_ == backend::poll) which = spruce::poller::poll;
        if (of_ >= backend::kqueue) which = spruce::poller::kqueue;
        return on().make_poller(on().context, static_cast<int>(which), heap.hook(), &out);
    }

    // -- fds; all are closed at the end
    pair_of pipe() { return both([this](int* ends) { return on().calls->make_pipe(on().context, ends); }); }
    pair_of sockets() { return both([this](int* ends) { return on().calls->make_socketpair(on().context, ends); }); }
    int file() {
        return keep(simulation_ ? *simulation_->make_file("text") : ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    }
    int duplicate(int fd) { return keep(simulation_ ? *simulation_->duplicate(fd) : ::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
    void close(int fd) {
        forget(fd);
        on().calls->close(on().context, fd);
    }
    int keep(int fd) {
        REQUIRE(fd >= 0);
        open_.push_back(fd);
        return fd;
    }
    void forget(int fd) { std::erase(open_, fd); }
    void write(int fd, std::size_t bytes = 1) {
        char const room[64] = {};
        CHECK_EQ(on().calls->write(on().context, fd, room, bytes), static_cast<ssize>(bytes));
    }
    std::size_t drain(int fd) {
        char room[256];
        std::size_t all = 0;
        for (ssize n = 0; (n = on().calls->read(on().context, fd, room, sizeof room)) > 0;)
            all += static_cast<std::size_t>(n);
        return all;
    }
    // Until no more is taken.
    void fill(int fd) {
        char const room[4096] = {};
        while (on().calls->write(on().context, fd, room, sizeof room) > 0) {}
    }
    std::int64_t now() { return on().calls->monotonic_ns(on().context); }

    // -- the poller
    int change(int fd, std::uint32_t generation, int before, int wanted) {
        poll_change c{fd, generation, static_cast<std::uint8_t>(before), static_cast<std::uint8_t>(wanted), 1};
        calls().change(made_.context, &c, 1);
        return c.result;
    }
    void change(std::vector<poll_change>& all) { calls().change(made_.context, all.data(), all.size()); }
    // Of an edge that was reported: so that it may be again.
    void rearm(int fd, std::uint32_t generation, int wanted) {
        if (calls().needs_rearm) CHECK_EQ(change(fd, generation, wanted, wanted), 0);
    }
    std::vector<poll_event> wait(std::int64_t timeout_ns = 0, int room = 64) {
        std::vector<poll_event> events(static_cast<std::size_t>(room));
        int const count = calls().wait(made_.context, events.data(), room, timeout_ns);
        REQUIRE(count >= 0 && count <= room);
        events.resize(static_cast<std::size_t>(count));
        return events;
    }
    // What is said of an fd now; 0 for nothing. An fd has at most one event.
    unsigned ready(int fd, std::uint32_t generation) {
        unsigned what = 0;
        for (poll_event const& e : wait()) {
            if (e.fd != fd) continue;
            CHECK_EQ(what, 0U);
            CHECK_EQ(e.generation, generation);
            what = e.ready;
            CHECK(what != 0);
        }
        return what;
    }
    // Whether reading and writing are watched apart, so that the end of each is told of itself.
    bool by_direction() { return std::string_view(calls().name) == "kqueue"; }
    void* context() { return made_.context; }
    testing::simulation* simulation() { return simulation_.get(); }

    moody_heap heap;

private:
    template <class F> pair_of both(F&& make) {
        int ends[2];
        REQUIRE(make(ends) == 0);
        return {keep(ends[0]), keep(ends[1])};
    }
    bool on_the_system() const { return of_ == backend::epoll || of_ == backend::poll || of_ == backend::kqueue_native; }
    backend of_;
    std::unique_ptr<testing::simulation> simulation_;
    kernel::made_poller made_;
    std::vector<int> open_;
};

template <backend of, void (*body)(subject&)> void on_backend() {
    subject s(of);
    body(s);
}
}  // namespace contract

#define CONTRACT_CASE(name, backend_)                                                                      \
    static ::harness::test_case HARNESS_JOIN(case_##backend_, __LINE__)(                                   \
        name " (" #backend_ ")", __FILE__,                                                                 \
        ::contract::on_backend<::contract::backend::backend_, HARNESS_JOIN(contract_, __LINE__)>, nullptr, \
        20, false);
// POLLER_TEST("a sentence") { … s … }, once for each poller.
#define POLLER_TEST(name)                                     \
    static void HARNESS_JOIN(contract_, __LINE__)(::contract::subject& s); \
    CONTRACT_CASE(name, epoll)                                \
    CONTRACT_CASE(name, poll)                                 \
    CONTRACT_CASE(name, simulated)                            \
    CONTRACT_CASE(name, kqueue)                               \
    CONTRACT_CASE(name, kqueue_netbsd)                        \
    CONTRACT_CASE(name, kqueue_openbsd)                       \
    CONTRACT_CASE(name, kqueue_native)                        \
    static void HARNESS_JOIN(contract_, __LINE__)([[maybe_unused]] ::contract::subject& s)
