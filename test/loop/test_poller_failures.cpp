// A kernel that refuses registrations for a while, just when the hub has to make them all anew.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// The world's kernel, with a poller between it and the loop.
struct refusing_kernel {
    kernel outer;
    kernel& below;
    kernel::made_poller inner;
    bool refuse = false;           // new registrations: ENOSPC, as of max_user_watches
    bool ghost = false;            // the next wait gives an event that belongs to nobody
    int renewed = 0;
    std::atomic<bool> waits{false};

    bool refuse_poller = false, refuse_waker = false, refuse_renewal = false;
    detail::kernel_calls own;

    explicit refusing_kernel(kernel& on) : outer(on), below(on), own(*on.calls) {
        outer.calls = &own;
        own.make_waker = [](void* context, detail::waker_kind kind, detail::waker_fds* out) noexcept {
            return it->refuse_waker ? -EMFILE : it->below.calls->make_waker(context, kind, out);
        };
        outer.make_poller = [](void*, int which, memory_hook memory, kernel::made_poller* out) noexcept {
            if (it->refuse_poller) return -EMFILE;
            int const got = it->below.make_poller(it->below.context, which, memory, &it->inner);
            *out = {&calls, it};
            return got;
        };
        it = this;
    }
    ~refusing_kernel() { it = nullptr; }

    static refusing_kernel* it;
    static detail::poller_calls const calls;
};
refusing_kernel* refusing_kernel::it = nullptr;
detail::poller_calls const refusing_kernel::calls{
    "refusing", false,
    [](void*, detail::poll_change* changes, std::size_t count) noexcept {
        for (std::size_t i = 0; i != count; ++i) {
            detail::poll_change& c = changes[i];
            bool const is_new = c.before == detail::interest_none && c.wanted != detail::interest_none;
            if (it->refuse && is_new) c.result = -ENOSPC;
            else it->inner.calls->change(it->inner.context, &c, 1);
        }
    },
    [](void*, detail::poll_event* events, int room, std::int64_t timeout) noexcept {
        if (std::exchange(it->ghost, false)) {
            events[0] = {};
            events[0].fd = 900;
            events[0].generation = 77;
            events[0].ready = detail::ready_read;
            return 1;
        }
        if (timeout != 0) it->waits = true;
        return it->inner.calls->wait(it->inner.context, events, room, timeout);
    },
    [](void*) noexcept { return it->inner.calls->backend_fd(it->inner.context); },
    [](void*, bool forked) noexcept {
        ++it->renewed;
        if (it->refuse_renewal) return -EMFILE;
        return it->inner.calls->renew(it->inner.context, forked);
    },
    [](void*) noexcept { it->inner.calls->close(it->inner.context); },
    [](void*) noexcept { return it->inner.calls->grain_ns(it->inner.context); },
    nullptr, nullptr,
    [](void*) noexcept { return it->inner.calls->lie_down(it->inner.context); },
    [](void*, std::int64_t timeout) noexcept { return it->inner.calls->sleep(it->inner.context, timeout); }};

// A loop on such a kernel, with a reader of a pipe.
struct reading_loop {
    reading_loop() {
        auto added = l.add_reader(out, [this] {
            char c;
            if (w.read(out, &c, 1) == 1) ++read;
        });
        REQUIRE(added.ok());
        reader = *added;
    }
    ~reading_loop() {
        reader.cancel();
        w.close(out);
        w.close(in);
    }
    loop_options options() {
        auto o = w.options();
        o.on = &kernel.outer;
        return o;
    }
    // A turn in which the poller tells of an fd that nobody knows, so that the set is renewed.
    void see_ghost() {
        kernel.ghost = true;
        static_cast<void>(l.run_once(spruce::in(0s)));
        CHECK_EQ(kernel.renewed, 1);
    }
    // Whether what is written now is read.
    bool hears() {
        int const before = read;
        w.write(in, "x");
        return l.run_until([&] { return read == before + 1; }, spruce::in(5s)).ok();
    }

    world w;
    refusing_kernel kernel{w.on()};
    std::pair<int, int> ends = w.pipe();
    int out = ends.first, in = ends.second;
    loop l{options()};
    int read = 0;
    handler reader;
};
}  // namespace

TEST("a reader that the new set refuses for a while hears again when it no longer does") {
    reading_loop r;
    r.kernel.refuse = true;
    r.see_ghost();
    static_cast<void>(r.l.run_once(spruce::in(0s)));
    r.kernel.refuse = false;
    CHECK(r.hears());
    CHECK(r.hears());
}

TEST("calls from other threads wake a loop whose new set refused the waker for a while") {
    if (harness::simulated()) harness::skip("a sleep that only another thread ends");
    world w;
    refusing_kernel k(w.on());
    auto o = w.options();
    o.on = &k.outer;
    loop l(o);
    k.refuse = k.ghost = true;
    static_cast<void>(l.run_once(in(0s)));
    CHECK_EQ(k.renewed, 1);
    k.waits = false;
    int called = 0;
    std::thread caller([&, door = l.remote()] {
        while (!k.waits) std::this_thread::yield();
        static_cast<void>(door.call([&] { ++called; }));
    });
    REQUIRE(l.run_until([&] { return called == 1; }, in(1h)).ok());   // else the other thread waits for it
    caller.join();
    // The same as a guest, and it sleeps as long as ever once the waker is back.
    auto until = l.prepare();
    CHECK(until.ok() && until->how() != deadline::kind::never);
    k.refuse = false;
    until = l.prepare();
    CHECK(until.ok() && until->how() == deadline::kind::never);
}

TEST("a signalfd that the poller refuses is an error of the call, and leaves nothing") {
    if (harness::simulated()) harness::skip("the real kernel's signals");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    world w;
    refusing_kernel k(w.on());
    {
        auto o = w.options();
        o.on = &k.outer;
        o.use_signalfd = true;
        loop l(o);
        int heard = 0;
        auto first = l.add_signal_handler(SIGUSR2, [&] { ++heard; });
        if (!first.ok()) harness::skip("no signalfd here");
        CHECK(first->cancel());
        k.refuse = true;
        CHECK(!l.add_signal_handler(SIGUSR2, [&] { ++heard; }).ok());
        k.refuse = false;
        CHECK(l.add_signal_handler(SIGUSR2, [&] { ++heard; }).ok());
        ::kill(::getpid(), SIGUSR2);
        REQUIRE(l.run_until([&] { return heard == 1; }, in(5s)).ok());   // else the signal is there to be delivered
    }
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

TEST("a loop that cannot be made says why, leaves nothing, and does not stand in the next one's way") {
    world w;
    refusing_kernel k(w.on());
    auto o = w.options();
    o.on = &k.outer;
    for (bool* step : {&k.refuse_poller, &k.refuse_waker, &k.refuse}) {
        *step = true;
        {
            loop l(o);
            CHECK(!l.status().ok());
            CHECK(l.run() == l.status().error());
            CHECK(l.after_fork() == l.status().error());
            CHECK(!l.remote().alive());
        }
        *step = false;
        loop l(o);
        CHECK(l.run().ok());
    }
}

TEST("a set that cannot be renewed for a while leaves the loop as it was, with its ghost") {
    reading_loop r;
    r.kernel.refuse_renewal = true;
    r.see_ghost();
    CHECK(r.hears());
}

TEST("in a forked child after_fork() can fail at each of its steps, and be called again") {
    if (harness::simulated()) harness::skip("the real kernel's fork");
    world w;
    refusing_kernel k(w.on());
    auto const [out, in] = w.pipe();
    {
        auto o = w.options();
        o.on = &k.outer;
        loop l(o);
        int read = 0;
        auto r = l.add_reader(out, [&, out = out] {
            char c;
            if (w.read(out, &c, 1) == 1) ++read;
        });
        REQUIRE(r.ok());
        int const pid = ::fork();
        if (pid == 0) {
            ::alarm(15);
            bool fine = true;
            for (bool* step : {&k.refuse_renewal, &k.refuse_waker, &k.refuse}) {
                *step = true;
                fine = fine && !l.after_fork().ok() && l.run() == errc::wrong_state;
                *step = false;
            }
            fine = fine && l.after_fork().ok();
            w.write(in, "c");
            fine = fine && l.run_until([&] { return read == 1; }, spruce::in(5s)).ok();
            bool called = false;
            std::thread([&, door = l.remote()] { fine = door.call([&] { called = true; }).ok() && fine; }).join();
            fine = fine && l.run_until([&] { return called; }, spruce::in(5s)).ok();
            ::_exit(fine ? 0 : 1);
        }
        int status = 0;
        int ended;
        while ((ended = ::waitpid(pid, &status, 0)) < 0 && errno == EINTR) {}
        CHECK_EQ(ended, pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        w.write(in, "p");
        CHECK(l.run_until([&] { return read == 1; }, spruce::in(5s)).ok());
        r->cancel();
    }
    w.close(out);
    w.close(in);
}
