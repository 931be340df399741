// The run-time axes of a test run, as loop_options: --poller, --waker, --kernel.
#pragma once
#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../../src/sys/kernel.hpp"
#include "harness.hpp"

namespace harness {

// So many tasks at once; fewer where each is a thread to the sanitizer, which has 8,128 at most.
constexpr int tasks_at_once(int wanted) noexcept { return SPRUCE_TSAN && wanted > 4'000 ? 4'000 : wanted; }
// Whether loops of this run are on a simulated kernel.
inline bool simulated() noexcept { return option("kernel") == "simulated"; }

// --poller kqueue, or kqueue-netbsd, kqueue-openbsd: on a simulated kernel its model, as of that BSD.
inline bool kqueue() noexcept { return option("poller").substr(0, 6) == "kqueue"; }
inline spruce::testing::kqueue_of whose_kqueue() noexcept {
    if (option("poller") == "kqueue-netbsd") return spruce::testing::kqueue_of::netbsd;
    if (option("poller") == "kqueue-openbsd") return spruce::testing::kqueue_of::openbsd;
    return kqueue() ? spruce::testing::kqueue_of::freebsd : spruce::testing::kqueue_of::none;
}
// For a test that makes a simulated kernel whatever the run asks for: with the poller that it does ask for.
inline spruce::testing::simulation_options as_asked(spruce::testing::simulation_options o = {}) noexcept {
    if (simulated()) o.kqueue = whose_kqueue();
    return o;
}

// Spawns what others wait for without end: where there is no place for it, the test is over.
template <class... A> auto needed(A&&... a) {
    auto made = spruce::spawn(std::forward<A>(a)...);
    REQUIRE(made.id() != spruce::task_id{});
    return made;
}

// A kernel for one test: the real one or a simulated one, as the run asks, with its pipes and their far ends.
class world {
public:
    world() {
        if (simulated()) made_ = new spruce::testing::simulation(as_asked({.pipe_wakers = option("waker") == "pipe"}));
        else prefer_waker();
    }
    ~world() { delete made_; }
    world(world const&) = delete;
    world& operator=(world const&) = delete;

    spruce::kernel& on() { return made_ ? *made_->on() : spruce::detail::native_kernel(); }
    spruce::loop_options options() {
        spruce::loop_options o;
        o.on = &on();
        if (!made_) {
            if (option("poller") == "poll") o.poller = spruce::poller::poll;
            if (option("poller") == "epoll") o.poller = spruce::poller::epoll;
        }
        if (kqueue()) o.poller = spruce::poller::kqueue;
        return o;
    }
    std::pair<int, int> pipe() {
        int ends[2];
        REQUIRE(on().calls->make_pipe(on().context, ends) == 0);
        return {ends[0], ends[1]};
    }
    std::pair<int, int> sockets() {
        int ends[2];
        REQUIRE(on().calls->make_socketpair(on().context, ends) == 0);
        return {ends[0], ends[1]};
    }
    std::ptrdiff_t write(int fd, std::string_view text) { return on().calls->write(on().context, fd, text.data(), text.size()); }
    std::ptrdiff_t read(int fd, char* into, std::size_t size) { return on().calls->read(on().context, fd, into, size); }
    int close(int fd) { return on().calls->close(on().context, fd); }

private:
    // Once: threads may make their worlds at the same time.
    static void prefer_waker() {
        using spruce::detail::waker_kind;
        static waker_kind const asked = spruce::detail::native_kernel().preferred_waker =
            option("waker") == "pipe" ? waker_kind::pipe : waker_kind::eventfd;
        static_cast<void>(asked);
    }
    spruce::testing::simulation* made_ = nullptr;
};

}  // namespace harness
