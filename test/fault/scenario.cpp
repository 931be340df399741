#include "scenario.hpp"

#include <cerrno>
#include <csignal>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/harness.hpp"

namespace fault {

using namespace spruce;
using namespace std::chrono_literals;

namespace {

struct program {
    loop& hub;
    testing::simulation* world;
    report& seen;
    event posted_ran;
    int late_timers = 0;

    template <class R> bool fine(R const& r) {
        if (r.ok()) return true;
        ++seen.complaints;
        return false;
    }
    void must(bool holds, char const* rule) {
        if (!holds && !seen.missed) seen.missed = rule;
    }
    void require_handler(handler const& h) {
        if (!h) ++seen.complaints;
    }

    void timers() {
        int order = 0;
        event last;
        auto const first = hub.call_later(1ms, [&] { order = order == 0 ? 1 : -1; });
        auto const second = hub.call_later(2ms, [&] { order = order == 1 || !first ? 2 : -1; });
        auto const third = hub.call_later(3ms, [&] { last.set(); });
        auto never = hub.call_later(1ms, [&] { must(false, "a canceled timer runs"); });
        auto ticks = hub.call_every(1ms, [n = 0]() mutable { return ++n != 3; });
        auto soon = hub.call_soon([] {});
        for (handler const& h : {first, second, third, never, ticks, soon}) require_handler(h);
        never.cancel();
        fine(last.wait(in(1s)));
        must(order >= 0, "timers fire in the order of their times");
        for (handler h : {first, second, third, ticks, soon}) h.cancel();
    }

    void signals() {
        event heard;
        auto h = hub.add_signal_handler(SIGUSR1, [&] { heard.set(); });
        if (!fine(h)) return;
        auto twice = hub.add_signal_handler(SIGUSR1, [] {});
        fine(twice);
        if (world) world->raise_signal(SIGUSR1);
        else ::kill(::getpid(), SIGUSR1);
        fine(heard.wait(in(1s)));
        h->cancel();
        if (twice) twice->cancel();
    }

    void child() {
        int pid = -1;
        if (world) {
            auto made = world->spawn_child();
            if (!fine(made)) return;
            pid = *made;
        } else {
            pid = ::fork();
            if (pid == 0) ::_exit(7);
            if (pid < 0) return;
        }
        event told;
        int code = -1;
        auto h = hub.add_child_handler(pid, [&](result<exit_status> how) {
            if (fine(how)) code = how->code();
            told.set();
        });
        if (world) fine(world->end_child(pid, 7));
        if (fine(h)) {
            bool const heard = fine(told.wait(in(1s)));
            must(!heard || code == 7 || seen.complaints != 0, "a child's exit code is what it exited with");
            h->cancel();
        }
        // Whoever could not be watched is still there to be reaped.
        if (!world && code == -1) leave(pid);
    }
    // Reaps one that nobody watches.
    static void leave(int pid);

    void tasks() {
        auto seven = spawn([] {
            static_cast<void>(yield());
            return 7;
        });
        auto got = seven.get();
        if (fine(got)) must(*got == 7, "a task's value is what it returned");

        auto sleeper = spawn([] { return sleep_for(1h); });
        fine(yield());
        sleeper.cancel();
        auto ended = sleeper.join(in(1s));
        fine(ended);
        auto late = with_deadline(in(1ms), [] { return sleep_for(1h); });
        must(!late.ok(), "a deadline of a millisecond ends an hour's sleep");
        if (late != errc::timed_out) fine(late);

        task_group group(on_error::cancel_rest);
        group.spawn([] { return sleep_for(1h); });
        group.spawn([]() -> result<void> {
            SPRUCE_CHECK(yield());
            return errc::full;
        });
        auto joined = group.join();
        must(!joined.ok(), "a group with a failure says so");
        if (joined != errc::full) fine(joined);
    }

    void pipes() {
        auto ends = make_pipe();
        if (!fine(ends)) return;
        auto& [out, into] = *ends;
        auto writer = spawn([&out = into]() -> result<void> {
            SPRUCE_CHECK(out.write("through the pipe\n", in(1s)));
            out.close();
            return {};
        });
        reader lines(out);
        auto line = lines.read_line(in(1s));
        if (fine(line)) must(*line == "through the pipe", "a pipe gives what was written");
        if (!writer.done()) writer.cancel();
        fine(writer.get());
    }

    void echo() {
        auto listener = tcp_listener::listen("127.0.0.1:0");
        if (!fine(listener)) return;
        auto server = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto peer, listener->accept(in(1s)));
            char room[64];
            for (;;) {
                auto n = peer.read(room, in(1s));
                if (n == errc::end_of_stream) return {};
                SPRUCE_CHECK(n);
                SPRUCE_CHECK(peer.write({room, *n}, in(1s)));
            }
        });
        auto client = talk(listener->local());
        fine(client);
        if (!client.ok()) server.cancel();
        auto ended = server.get();
        if (client.ok() && ended) must(*client, "an echo is what was said");
        if (!ended && (client.ok() || ended != errc::task_canceled)) fine(ended);
    }
    static result<bool> talk(address const& to) {
        SPRUCE_TRY(auto peer, tcp_stream::connect(to, in(1s)));
        SPRUCE_CHECK(peer.no_delay(true));
        SPRUCE_CHECK(peer.write("hello\nworld", in(1s)));
        SPRUCE_CHECK(peer.shut_write());
        reader lines(peer);
        SPRUCE_TRY(auto first, lines.read_line(in(1s)));
        bool same = first == "hello";
        SPRUCE_TRY(auto second, lines.read_line(in(1s)));
        same = same && second == "world";
        return same;
    }

    void other_thread() {
        auto ring = hub.make_waker([this] { posted_ran.set(); });
        struct outside {
            loop_ref to;
            program* self;
            result<waker>* ring;
            bool failed = false;
        } o{hub.remote(), this, &ring};
        if (!fine(ring)) return;
        pthread_t thread;
        if (world) world->hold_time();
        bool const made = ::pthread_create(&thread, nullptr, [](void* at) -> void* {
            auto& from = *static_cast<outside*>(at);
            from.failed = !from.to.call([self = from.self] { self->posted_ran.set(); });
            (*from.ring)->wake();
            return nullptr;
        }, &o) == 0;
        if (made) fine(posted_ran.wait(in(2s)));
        if (made) ::pthread_join(thread, nullptr);
        if (world) world->release_time();
        if (o.failed) ++seen.complaints;
    }

    void all() {
        timers();
        signals();
        child();
        tasks();
        pipes();
        echo();
        other_thread();
    }
};

void program::leave(int pid) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
}

}  // namespace

report run_scenario(kernel& on, testing::simulation* world, void (*calm)()) {
    report seen;
    {
        loop hub({.poller = !world && harness::option("poller") == "poll" ? poller::poll : poller::best, .on = &on});
        if (!hub.status()) {
            ++seen.complaints;
            calm();
            return seen;
        }
        hub.on_unhandled([&seen](unhandled const&) { ++seen.complaints; });
        program p{hub, world, seen, {}};
        auto main_task = spawn([&p] { p.all(); });
        // A poll that fails ends run(), not the tasks: whoever asks again goes on where it was.
        for (int tries = 0; !main_task.done() && tries != 10; ++tries) p.fine(hub.run_until(main_task, in(30s)));
        p.must(main_task.done(), "the program comes to its end");
        p.fine(main_task.get());
        calm();
        int timer_ran = 0;
        auto again = spawn([] { return sleep_for(1ms); });
        hub.call_later(1ms, [&] { ++timer_ran; });
        auto ran = hub.run();
        p.must(ran.ok() && again.get().ok() && timer_ran == 1, "the loop is as good as new afterwards");
        p.must(hub.destroy(in(1s)).ok(), "and can be destroyed");
    }
    seen.finished = true;
    return seen;
}

}  // namespace fault
