// Numbers that were closed behind the loop's back, and that the kernel then gives to one of its own calls.
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "socket_pair.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
// Counts what the hook is told of numbers, and nothing else.
struct reports {
    explicit reports(loop& l) : of(l) {
        of.on_unhandled([this](unhandled const& u) {
            std::string const text = u.what;
            CHECK(text.find("was closed while") != std::string::npos);
            CHECK(u.reason == errc::closed);
            last = text;
            ++told;
        });
    }
    ~reports() { of.on_unhandled([](unhandled const&) {}); }
    reports(reports const&) = delete;
    reports& operator=(reports const&) = delete;
    loop& of;
    int told = 0;
    std::string last;
};

// What the destructor of a dropped callback says.
struct dropped {
    bool* where;
    dropped(bool& at) : where(&at) {}
    dropped(dropped&& other) noexcept : where(std::exchange(other.where, nullptr)) {}
    ~dropped() { if (where) *where = true; }
};
}  // namespace

TEST("accept, connect, listen and make_pipe take numbers that a handler still stands for: it is dropped, and reported") {
    for (bool writer : {false, true}) {
        for (int call = 0; call != 4; ++call) {
            world w;
            auto r = run(w.options(), [&]() -> result<void> {
                SPRUCE_TRY(loop& l, loop::current());
                reports seen(l);
                SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
                auto client = spawn([&, at = listener.local()] { return tcp_stream::connect(at); });
                if (call == 0) SPRUCE_CHECK(client.join());
                // The lowest numbers that are free, closed again while handlers stand for them.
                bool gone[2] = {};
                auto ends = w.pipe();
                auto on_first = writer ? l.add_writer(ends.second, [d = dropped(gone[0])] { CHECK(false); })
                                       : l.add_reader(ends.first, [d = dropped(gone[0])] { CHECK(false); });
                CHECK(on_first.ok());
                scoped_handler const ends_with_it(on_first.value_or(handler()));
                w.close(ends.first);
                w.close(ends.second);
                result<void> works;
                if (call == 0) {
                    auto served = listener.accept(in(5s));
                    works = served ? served->write("x") : served.error();
                    if (served && writer) {   // the second number goes to the next
                        auto more = make_pipe();
                        CHECK(more.ok());
                    }
                } else if (call == 1) {
                    auto a = tcp_stream::connect(listener.local(), in(5s));
                    auto b = tcp_stream::connect(listener.local(), in(5s));
                    works = a && b ? a->write("x") : a ? b.error() : a.error();
                } else if (call == 2) {
                    auto a = tcp_listener::listen("127.0.0.1:0");
                    auto b = tcp_listener::listen("127.0.0.1:0");
                    works = a && b ? result<void>() : a ? b.error() : a.error();
                } else {
                    auto pipe = make_pipe();
                    works = pipe ? pipe->write_end.write("x") : pipe.error();
                    if (pipe) {
                        char room[4];
                        CHECK_EQ(pipe->read_end.read(room, in(5s)).value_or(0), 1U);
                    }
                }
                CHECK(works.ok());
                CHECK(gone[0]);
                CHECK_EQ(seen.told, 1);
                CHECK(seen.last.find(writer ? "a writer" : "a reader") != std::string::npos);
                CHECK(!on_first->active());
                SPRUCE_CHECK(client.join());
                return {};
            });
            CHECK(r.ok());
        }
    }
}

TEST("a task that waits for a number that was closed behind its back is told closed when the number is given out again") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(loop& l, loop::current());
        reports seen(l);
        auto ends = w.pipe();
        auto waits = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto won, wait_any(readable(ends.first)));
            return won.get<0>();
        });
        SPRUCE_CHECK(yield());
        w.close(ends.first);
        w.close(ends.second);
        SPRUCE_TRY(auto pipe, make_pipe());
        CHECK(waits.get() == errc::closed);
        CHECK_EQ(seen.told, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("a stream whose fd was closed under it says closed once its number is given out again, and closes nothing then") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(loop& l, loop::current());
        reports seen(l);
        SPRUCE_TRY(auto before, make_pipe());
        int const number = before.read_end.fd();
        auto reads = spawn([&] {
            char room[4];
            return before.read_end.read(room);
        });
        SPRUCE_CHECK(yield());
        w.close(number);
        SPRUCE_TRY(auto after, make_pipe());
        CHECK(after.read_end.fd() == number || after.write_end.fd() == number);
        CHECK(reads.get() == errc::closed);
        CHECK_EQ(seen.told, 1);
        CHECK(seen.last.find("a stream") != std::string::npos);
        before.read_end.close();
        char room[4];
        SPRUCE_CHECK(after.write_end.write("x"));
        CHECK_EQ(after.read_end.read(room, in(5s)).value_or(0), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a handler dropped for its stale number may end the listener whose accept took it, and register anew") {
    world w;
    auto r = run(w.options(), [&]() -> result<void> {
        SPRUCE_TRY(loop& l, loop::current());
        reports seen(l);
        SPRUCE_TRY(auto made, tcp_listener::listen("127.0.0.1:0"));
        auto listener = std::make_shared<tcp_listener>(std::move(made));
        tcp_listener* const raw = listener.get();
        SPRUCE_TRY(auto client, tcp_stream::connect(listener->local()));
        auto ends = w.pipe();
        bool const added = l.add_reader(ends.first, [kept = std::move(listener)] {}).ok();
        CHECK(added);
        w.close(ends.first);
        w.close(ends.second);
        if (!added) return {};   // the listener is gone
        auto served = raw->accept(in(5s));   // and with it the listener is gone
        CHECK(served.ok());
        if (served) {
            SPRUCE_CHECK(served->write("x"));
            char room[4];
            CHECK_EQ(client.read(room, in(5s)).value_or(0), 1U);
            CHECK_EQ(served->peer().port(), client.local().port());
        }
        CHECK_EQ(seen.told, 1);
        return {};
    });
    CHECK(r.ok());
}

TEST("in plain code a handler dropped for its stale number may be the last to own the loop") {
    for (int call = 0; call != 3; ++call) {
        world w;
        auto l = std::make_shared<loop>(w.options());
        loop& here = *l;
        CHECK(here.status().ok());   // the one before has ended
        std::weak_ptr<loop> const watched = l;
        auto ends = w.pipe();
        here.on_unhandled([](unhandled const&) {});
        CHECK(here.add_reader(ends.first, [kept = std::move(l)] {}).ok());
        w.close(ends.first);
        w.close(ends.second);
        if (call == 0) CHECK(make_pipe().ok());
        if (call == 1) CHECK(tcp_listener::listen("127.0.0.1:0").ok());
        if (call == 2) CHECK(tcp_stream::connect("127.0.0.1:1") != errc::already_registered);
        CHECK(watched.expired());
    }
}

TEST("a child's descriptor may have a number that was somebody's, and lose its own to somebody: the child is heard of") {
    if (harness::simulated()) harness::skip("real children");
    for (bool child_first : {false, true}) {
        world w;
        auto r = run(w.options(), [&]() -> result<void> {
            SPRUCE_TRY(loop& l, loop::current());
            reports seen(l);
            int gate_ends[2];
            REQUIRE(::pipe(gate_ends) == 0);
            harness::owned_pair gate(gate_ends);
            pid_t const pid = ::fork();
            if (pid == 0) {
                char c;
                gate.second.close();
                (void)!::read(*gate.first, &c, 1);
                ::_exit(7);
            }
            REQUIRE(pid > 0);
            bool gone = false;
            auto ends = w.pipe();
            scoped_handler stale;
            if (!child_first) {
                auto h = l.add_reader(ends.first, [d = dropped(gone)] { CHECK(false); });
                CHECK(h.ok());
                if (h) stale = *h;
            }
            w.close(ends.first);
            w.close(ends.second);
            int code = -1;
            auto on_end = l.add_child_handler(pid, [&](result<exit_status> s) { code = s ? s->code() : -2; });
            CHECK(on_end.ok());
            scoped_handler const hears(on_end.value_or(handler()));
            int const descriptor = ends.first;
            if (::fcntl(descriptor, F_GETFD) < 0) harness::skip("children have no descriptor here");
            result<pipe_ends> after = errc::closed;
            if (child_first) {
                w.close(descriptor);
                after = make_pipe();
                CHECK(after.ok());
            } else {
                CHECK(gone);
            }
            CHECK_EQ(seen.told, 1);
            gate.second.close();
            for (int i = 0; i != 2'000 && code == -1; ++i) SPRUCE_CHECK(sleep_for(1ms));
            CHECK_EQ(code, 7);
            gate.first.close();
            if (after) {
                char room[4];
                SPRUCE_CHECK(after->write_end.write("x"));
                CHECK_EQ(after->read_end.read(room, in(5s)).value_or(0), 1U);
            }
            return {};
        });
        CHECK(r.ok());
    }
}

TEST("a reader that was removed, and whose number became the signals' descriptor, takes nothing of it away") {
    if (harness::simulated()) harness::skip("the real kernel's signalfd");
    for (bool removed : {true, false}) {
        world w;
        auto options = w.options();
        options.use_signalfd = true;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        REQUIRE(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
        auto r = run(options, [&]() -> result<void> {
            SPRUCE_TRY(loop& l, loop::current());
            reports seen(l);
            harness::owned_pair ends(w.pipe(), w.on());
            auto h = l.add_reader(*ends.first, [] { CHECK(false); });
            CHECK(h.ok());
            SPRUCE_CHECK(sleep_for(1ms));
            if (removed) h->cancel();
            ends.first.close();
            ends.second.close();
            int heard = 0;
            auto on = l.add_signal_handler(SIGUSR1, [&] { ++heard; });
            if (on == errc::not_supported) harness::skip("a thread that does not block the signal");
            REQUIRE(on.ok());   // else the signal has nobody
            scoped_handler const hears(*on);
            SPRUCE_CHECK(sleep_for(1ms));
            h->cancel();
            SPRUCE_CHECK(sleep_for(1ms));
            ::kill(::getpid(), SIGUSR1);
            for (int i = 0; i != 2'000 && heard == 0; ++i) SPRUCE_CHECK(sleep_for(1ms));
            CHECK_EQ(heard, 1);
            CHECK_EQ(seen.told, removed ? 0 : 1);
            return {};
        });
        CHECK(r.ok());
    }
}
