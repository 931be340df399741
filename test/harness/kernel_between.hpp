// A kernel of a test's own between a loop and its world's: it notes on which thread each call is made, and its poller
// refuses to wait or to sleep when the test says so.
#pragma once
#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "axes.hpp"

namespace harness {

class kernel_between {
public:
    explicit kernel_between(spruce::kernel& on) : outer_(on), below_(on), calls_(*on.calls) {
        outer_.context = this;
        outer_.calls = &calls_;
        outer_.make_poller = [](void* at, int which, spruce::memory_hook memory, made* out) noexcept {
            kernel_between& k = of(at);
            int const failed = k.below_.make_poller(k.below_.context, which, memory, &k.inner_);
            if (failed < 0) return failed;
            k.poller_ = *k.inner_.calls;
            k.stand_before_poller();
            *out = {&k.poller_, at};
            return failed;
        };
        outer_.advance = [](void* at, std::int64_t ns) noexcept { return of(at).below_.advance(of(at).below_.context, ns); };
        stand_before_calls();
    }
    kernel_between(kernel_between const&) = delete;
    kernel_between& operator=(kernel_between const&) = delete;
    spruce::kernel* on() { return &outer_; }

    // -errno, as often as `times`; from then on as ever.
    void refuse_waits(int with, int times) { wait_gives_ = with, waits_left_ = times; }
    void refuse_sleeps(int with, int times) { sleep_gives_ = with, sleeps_left_ = times; }
    int waits_left() const { return waits_left_; }
    int sleeps_left() const { return sleeps_left_; }

    // What was called on this thread so far: the names of the tables.
    std::set<std::string> calls_on(std::thread::id thread) const {
        std::lock_guard const held(lock_);
        std::set<std::string> found;
        for (auto const& [name, on] : seen_)
            if (on == thread) found.insert(name);
        return found;
    }
    // How often one of them was called, on whatever thread.
    long times(std::string const& name) const {
        std::lock_guard const held(lock_);
        auto const found = times_.find(name);
        return found == times_.end() ? 0 : found->second;
    }
    // The same of wake(), on the calling thread.
    static long wakes_here() { return wakes; }

private:
    using made = spruce::kernel::made_poller;
    using calls_t = spruce::detail::kernel_calls;
    using poller_t = spruce::detail::poller_calls;

    static kernel_between& of(void* at) { return *static_cast<kernel_between*>(at); }
    void note(char const* name) {
        std::lock_guard const held(lock_);
        seen_.emplace(name, std::this_thread::get_id());
        ++times_[name];
    }
    template <auto Call, class R, class... A> void stand_before(R (*&at)(void*, A...) noexcept, char const* is) {
        names<Call> = is;
        at = [](void* c, A... a) noexcept -> R {
            kernel_between& k = of(c);
            k.note(names<Call>);
            return (k.below_.calls->*Call)(k.below_.context, a...);
        };
    }
    template <auto Call, class R, class... A> void stand_before_poll(R (*&at)(void*, A...) noexcept, char const* is) {
        names<Call> = is;
        if (!at) return;
        at = [](void* c, A... a) noexcept -> R {
            kernel_between& k = of(c);
            k.note(names<Call>);
            return (k.inner_.calls->*Call)(k.inner_.context, a...);
        };
    }
    template <auto Call> static inline char const* names = nullptr;
    static inline thread_local long wakes = 0;

    void stand_before_calls() {
#define BETWEEN(x) stand_before<&calls_t::x>(calls_.x, #x)
        BETWEEN(monotonic_ns), BETWEEN(realtime_ns), BETWEEN(read), BETWEEN(write), BETWEEN(writev), BETWEEN(send), BETWEEN(sendv);
        BETWEEN(recv), BETWEEN(close), BETWEEN(socket), BETWEEN(bind), BETWEEN(listen), BETWEEN(accept), BETWEEN(connect);
        BETWEEN(shutdown), BETWEEN(getsockname), BETWEEN(getpeername), BETWEEN(getsockopt), BETWEEN(setsockopt), BETWEEN(make_pipe);
        BETWEEN(make_socketpair), BETWEEN(set_nonblocking), BETWEEN(kind_of), BETWEEN(end_of), BETWEEN(make_waker), BETWEEN(drain_waker);
        BETWEEN(signal_subscribe), BETWEEN(signal_unsubscribe), BETWEEN(open_child), BETWEEN(reap_child);
#undef BETWEEN
        // Signal handlers call it, too, and take no lock.
        calls_.wake = [](void* c, int fd) noexcept {
            ++wakes;
            of(c).below_.calls->wake(of(c).below_.context, fd);
        };
    }
    void stand_before_poller() {
#define BETWEEN(x) stand_before_poll<&poller_t::x>(poller_.x, "poller " #x)
        BETWEEN(change), BETWEEN(backend_fd), BETWEEN(renew), BETWEEN(close), BETWEEN(grain_ns), BETWEEN(watch_signal);
        BETWEEN(watch_child), BETWEEN(lie_down);
#undef BETWEEN
        poller_.wait = [](void* c, spruce::detail::poll_event* events, int room, std::int64_t timeout_ns) noexcept {
            kernel_between& k = of(c);
            k.note("poller wait");
            return refuses(k.waits_left_) ? k.wait_gives_.load() : k.inner_.calls->wait(k.inner_.context, events, room, timeout_ns);
        };
        poller_.sleep = [](void* c, std::int64_t timeout_ns) noexcept {
            kernel_between& k = of(c);
            k.note("poller sleep");
            return refuses(k.sleeps_left_) ? k.sleep_gives_.load() : k.inner_.calls->sleep(k.inner_.context, timeout_ns);
        };
    }
    static bool refuses(std::atomic<int>& left) {
        if (left <= 0) return false;
        --left;
        return true;
    }

    spruce::kernel outer_;
    spruce::kernel& below_;
    calls_t calls_;
    poller_t poller_{};
    made inner_{};
    std::atomic<int> wait_gives_{0}, sleep_gives_{0}, waits_left_{0}, sleeps_left_{0};
    mutable std::mutex lock_;
    std::set<std::pair<std::string, std::thread::id>> seen_;
    std::map<std::string, long> times_;
};

}  // namespace harness
