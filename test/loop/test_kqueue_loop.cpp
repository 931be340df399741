// Loops on the model of kqueue, as of each BSD, whatever poller the run asks for: signals and children that the poller
// tells of, and forks, which leave its queue behind.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/loop/hub.hpp"
#include "../harness/harness.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using testing::kqueue_of;

namespace {
constexpr kqueue_of each[] = {kqueue_of::freebsd, kqueue_of::netbsd, kqueue_of::openbsd};
}

TEST("kqueue is what a simulated BSD has, and all that it has") {
    for (kqueue_of const of : {kqueue_of::none, kqueue_of::freebsd}) {
        bool const bsd = of != kqueue_of::none;
        testing::simulation world({.kqueue = of});
        for (poller const which : {poller::best, poller::epoll, poller::kqueue}) {
            loop l(loop_options{.poller = which, .on = world.on()});
            bool const has = which == poller::best || (which == poller::kqueue) == bsd;
            CHECK_EQ(l.status().ok(), has);
            if (!has) CHECK(l.status() == errc::not_supported);
        }
    }
}

TEST("kqueue tells of signals: each loop once for many, none after the handler has gone, and several handlers each") {
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        loop l(loop_options{.on = world.on()});
        int first = 0, second = 0, other = 0;
        auto a = l.add_signal_handler(SIGUSR1, [&] { ++first; });
        auto b = l.add_signal_handler(SIGUSR1, [&] { ++second; });
        auto c = l.add_signal_handler(SIGUSR2, [&] { ++other; });
        REQUIRE(a.ok() && b.ok() && c.ok());
        for (int i = 0; i != 3; ++i) world.raise_signal(SIGUSR1);
        CHECK(l.run_until([&] { return second != 0; }, in(1s)).ok());
        CHECK(first == 1 && second == 1 && other == 0);
        a->cancel();
        world.raise_signal(SIGUSR1);
        CHECK(l.run_until([&] { return second == 2; }, in(1s)).ok());
        b->cancel();
        world.raise_signal(SIGUSR1);
        CHECK(l.run_once(in(1ms)) == errc::timed_out);
        CHECK(first == 1 && second == 2 && other == 0);
        // Asked for again, it starts anew.
        auto again = l.add_signal_handler(SIGUSR1, [&] { ++first; });
        REQUIRE(again.ok());
        CHECK(l.run_once(in(1ms)) == errc::timed_out);
        world.raise_signal(SIGUSR1);
        CHECK(l.run_until([&] { return first == 2; }, in(1s)).ok());
    }
}

TEST("kqueue tells of children: those that run, those that have ended, those whose status comes late, and none that was left") {
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        loop l(loop_options{.on = world.on()});
        int const runs = *world.spawn_child(), ended = *world.spawn_child(), killed = *world.spawn_child(), left = *world.spawn_child();
        REQUIRE(world.end_child(ended, 4).ok());
        int code = -1, early_code = -1, signal = -1, never = 0;
        auto a = l.add_child_handler(runs, [&](result<exit_status> s) { code = s.ok() ? s->code() : -2; });
        auto b = l.add_child_handler(ended, [&](result<exit_status> s) { early_code = s.ok() ? s->code() : -2; });
        auto c = l.add_child_handler(killed, [&](result<exit_status> s) { signal = s.ok() ? s->signal() : -2; });
        auto d = l.add_child_handler(left, [&](result<exit_status>) { ++never; });
        REQUIRE(a.ok() && b.ok() && c.ok() && d.ok());
        CHECK(l.add_child_handler(left + 1, [](result<exit_status>) {}) == errc::invalid_argument);
        l.call_later(1ms, [&] {
            CHECK(world.end_child(runs, 3).ok());
            CHECK(world.end_child(left, 3).ok());
            d->cancel();
        });
        l.call_later(2ms, [&] { CHECK(world.kill_child(killed, SIGTERM).ok()); });
        CHECK(l.run().ok());
        CHECK_EQ(code, 3);
        CHECK_EQ(early_code, 4);
        CHECK_EQ(signal, SIGTERM);
        CHECK_EQ(never, 0);
    }
}

TEST("kqueue, a child handler and one of SIGCHLD: both are told, and the last to go takes its watch along") {
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        loop l(loop_options{.on = world.on()});
        int told = 0, code = -1;
        auto s = l.add_signal_handler(SIGCHLD, [&] { ++told; });
        int const pid = *world.spawn_child();
        auto h = l.add_child_handler(pid, [&](result<exit_status> r) { code = r.ok() ? r->code() : -2; });
        REQUIRE(s.ok() && h.ok());
        REQUIRE(world.end_child(pid, 5).ok());
        CHECK(l.run_until([&] { return told == 1 && code == 5; }, in(1s)).ok());
        s->cancel();
        int const next = *world.spawn_child();
        auto g = l.add_child_handler(next, [&](result<exit_status> r) { code = r.ok() ? r->code() : -2; });
        REQUIRE(g.ok());
        REQUIRE(world.end_child(next, 6).ok());
        CHECK(l.run().ok());
        CHECK_EQ(code, 6);
        CHECK_EQ(told, 1);
    }
}

TEST("kqueue: hundreds who may write to pipes without a reader take turns, and keep nobody from reading") {
    constexpr std::size_t many = 300;   // more than one look at the poller tells of
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        int writes[many] = {}, reads = 0;
        loop l(loop_options{.on = world.on()});
        for (int& ran : writes) {
            auto const [out, into] = *world.make_pipe();
            REQUIRE(world.close(out).ok());
            REQUIRE(l.add_writer(into, [&] { ++ran; }).ok());
        }
        auto const [out, into] = *world.make_pipe();
        REQUIRE(l.add_reader(out, [&] { ++reads; }).ok());
        REQUIRE(world.write(into, "c").ok());
        constexpr int turns = 20;
        for (int i = 0; i != turns; ++i) CHECK(l.run_once(in(0s)).ok());
        CHECK_EQ(reads, turns);
        auto const [least, most] = std::minmax_element(std::begin(writes), std::end(writes));
        CHECK(*least > 1);
        CHECK(*most <= *least + 1);
    }
}

TEST("kqueue: a task that waits to write into a full pipe goes on when the pipe's reader closes, and a writer is called each turn") {
    for (kqueue_of const of : each) {
        for (bool const full : {true, false}) {
            testing::simulation world({.kqueue = of});
            loop l(loop_options{.on = world.on()});
            auto const [out, into] = *world.make_pipe();
            auto const [raw_out, raw_into] = *world.make_pipe();
            std::string const block(4'096, 'x');
            for (int const fd : {into, raw_into})
                while (full && world.write(fd, block)) {}
            result<void> wrote;
            int calls = 0;
            auto h = l.add_writer(raw_into, [&] { ++calls; });
            REQUIRE(h.ok());
            auto task = spawn([&, into = into] {
                auto s = stream::adopt(into);
                REQUIRE(s.ok());
                std::string const much(1'000'000, 'x');
                wrote = s->write(much);
            });
            CHECK(l.run_once(in(1ms)).ok());
            CHECK_EQ(calls, full ? 0 : 1);
            REQUIRE(world.close(out).ok() && world.close(raw_out).ok());
            CHECK(l.run_until([&] { return task.done(); }, in(1s)).ok());
            CHECK(!wrote.ok() && wrote.error().errno_value() == EPIPE);
            int const before = calls;
            for (int i = 0; i != 5; ++i) CHECK(l.run_once(in(0s)).ok());
            CHECK_EQ(calls, before + 5);
            h->cancel();
            CHECK(l.run().ok());
        }
    }
}

TEST("kqueue: bytes behind urgent data are read though nothing more comes") {
    for (kqueue_of const of : {kqueue_of::none, kqueue_of::freebsd, kqueue_of::netbsd, kqueue_of::openbsd}) {
        testing::simulation world({.kqueue = of});
        loop l(loop_options{.on = world.on()});
        int const listener = *world.listen();
        int const client = *world.connect(*world.port_of(listener));
        int const server = *world.accept(listener);
        std::string got;
        auto task = spawn([&] {
            auto s = stream::adopt(server);
            REQUIRE(s.ok());
            char room[64];
            while (got.size() != 5) {
                auto const n = s->read(room);
                REQUIRE(n.ok());
                got.append(room, *n);
            }
        });
        l.call_later(1ms, [&] {
            CHECK(world.write(client, "abc").ok());
            CHECK(world.send_urgent(client).ok());
            CHECK(world.write(client, "de").ok());
        });
        CHECK(l.run_until([&] { return task.done(); }, in(1s)).ok());
        CHECK_EQ(got, "abcde");
    }
}

TEST("kqueue: a guest makes one turn for each wake-up") {
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        loop l(loop_options{.on = world.on()});
        int woken = 0;
        auto wake = l.make_waker([&] { ++woken; });
        REQUIRE(wake.ok());
        REQUIRE(l.status().ok());
        detail::hub& h = *l.impl();
        auto const sleeps = [&] {
            auto const before = world.now();
            CHECK_EQ(h.poller->lie_down(h.poller_context), 0);
            CHECK_EQ(h.poller->sleep(h.poller_context, 1'000), 0);
            return world.now() - before == 1us;
        };
        for (int i = 1; i <= 3; ++i) {
            CHECK(l.prepare().ok());
            CHECK(sleeps());
            wake->wake();
            CHECK(!sleeps());
            CHECK(l.dispatch().ok());
            CHECK_EQ(woken, i);
        }
    }
}

TEST("kqueue is not there after a fork: the child's loop has its own, and goes on with fds, signals, timers and calls") {
    for (kqueue_of const of : each) {
        testing::simulation world({.kqueue = of});
        auto const [out, into] = *world.make_pipe();
        loop l(loop_options{.on = world.on()});
        int read = 0, timer = 0, called = 0, heard = 0;
        auto h = l.add_reader(out, [&, from = out] {
            char c;
            if (world.read(from, &c, 1).ok()) ++read;
        });
        auto s = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
        REQUIRE(h.ok() && s.ok());
        l.call_later(1ms, [&] { ++timer; });
        auto const whole = [&, to = into] {
            bool fine = world.write(to, "c").ok();
            world.raise_signal(SIGUSR1);
            fine = fine && l.remote().call([&] { ++called; }).ok();
            return fine && l.run_until([&] { return read == 1 && timer == 1 && called == 1 && heard == 1; }, in(5s)).ok();
        };
        std::size_t const open = world.open_fds();
        int const pid = ::fork();
        if (pid == 0) {
            bool fine = l.after_fork().ok();
            fine = whole() && fine && world.open_fds() == open;
            ::_exit(fine ? 0 : 1);
        }
        REQUIRE(pid > 0);
        int status = -1;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(whole());
    }
}
