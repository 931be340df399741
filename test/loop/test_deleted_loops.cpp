// Loops that are deleted where they are in use: in their own callbacks, tasks and hooks, and by the last callable, value or
// message that owned them, wherever that ends.
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include <spruce/process.hpp>
#include <spruce/spruce.hpp>
#include <spruce/task_local.hpp>

#include "../harness/axes.hpp"
#include "../harness/owned_fd.hpp"
#include "../harness/queue_host.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
enum class way { run, run_forever, run_until, run_once, dispatch, interleaved };
constexpr way ways[] = {way::run, way::run_forever, way::run_until, way::run_once, way::dispatch, way::interleaved};

// Runs it until it is gone, which its own callback sees to.
void run_in(way how, loop& l) {
    auto const door = l.remote();
    harness::queue_host host;
    switch (how) {
    case way::run: static_cast<void>(l.run()); break;
    case way::run_forever: static_cast<void>(l.run_forever()); break;
    case way::run_until: CHECK(l.run_until([] { return false; }, in(1h)) == errc::closed); break;
    case way::run_once: static_cast<void>(l.run_once(in(0s))); break;
    case way::dispatch: CHECK(l.dispatch().ok()); break;
    case way::interleaved:
        if (!l.interleave(host.post()).ok()) harness::skip("this poller cannot be slept on");
        CHECK(host.run([&] { return !door.alive(); }));
        break;
    }
    CHECK(!door.alive());
}

struct ends {
    harness::owned_pair pipe, sockets;
    int const pipe_out = *pipe.first, pipe_in = *pipe.second, left = *sockets.first, right = *sockets.second;
    explicit ends(world& w) : pipe(w.pipe(), w.on()), sockets(w.sockets(), w.on()) {}
};

// One that could not be run until its callback deleted it: here, before what its tasks and callbacks refer to.
void delete_here(std::unique_ptr<loop>& l, bool& gone) {
    if (!l) return;
    gone = true;
    delete l.release();   // which they look at, too
}
}  // namespace

TEST("no callback of a deleted loop runs, of whatever kind and however it is run, while its tasks go on to their ends") {
    for (way const how : ways) {
        world w;
        ends const fds(w);
        CHECK_EQ(w.write(fds.pipe_in, "x"), 1);
        auto l = std::make_unique<loop>(w.options());
        loop& same = *l;
        bool gone = false;
        int after = 0, exits = 0, ended = 0;
        auto const note = [&] { after += gone; };
        auto const also = [&](auto&&...) { after += gone; };
        auto reader = l->add_reader(fds.pipe_out, note);
        auto writer = l->add_writer(fds.left, note);
        CHECK(reader.ok() && writer.ok());
        l->call_every(1ms, note);
        l->call_later(1ms, note);
        l->on_turn(note);
        l->on_start(start_phase::after, note);
        for (auto phase : {shutdown_phase::before, shutdown_phase::during, shutdown_phase::after}) l->on_shutdown(phase, note);
        l->on_exit([&] { gone ? ++after : ++exits; });
        l->on_unhandled(also);
        auto const hears = l->add_signal_handler(SIGUSR1, note);
        CHECK(hears.ok());
        timer beats(note);
        CHECK(beats.start(1ms).ok());
        one_shot_timer once(note);
        CHECK(once.start(2ms).ok());
        promise<int> promised;
        auto future = promised.get_future();
        future.on_done(also);
        auto slept = spawn([&] {
            cancel_shield until_the_end;
            for (int i = 0; i != 4; ++i) CHECK(sleep_for(1ms).ok());
            ++ended;
        });
        slept.on_done(note);
        auto waited = spawn([&] {
            cancel_shield until_the_end;
            CHECK(slept.join().ok());
            auto made = stream::adopt(fds.right);
            REQUIRE(made.ok());
            char room[4];
            auto const got = made->read(bytes{room, sizeof room}, in(2s));   // no longer, if nothing could be written
            CHECK(got.ok());
            CHECK(made->release().ok());
            ++ended;
        });
        auto writes = spawn([&] {
            cancel_shield until_the_end;
            CHECK(sleep_for(3ms).ok());
            CHECK(promised.set(7).ok());
            CHECK_EQ(w.write(fds.left, "y"), 1);
            ++ended;
        });
        auto late = spawn([&] {
            cancel_shield until_the_end;
            CHECK(delay(2ms).wait().ok());
            while (!gone) CHECK(yield().ok());
            CHECK(spawn([] {}).join() == errc::closed);
            CHECK(slept.on_done(note).error() == errc::closed);
            ++ended;
        });
        auto const door = l->remote();
        auto knock = l->make_waker(note);
        REQUIRE(knock.ok());
        handler const deletes = l->call_soon([&] {
            // The tasks stand in their waits by now.
            loop::current()->call_when_idle(note);
            loop::current()->call_soon(note);
            CHECK(door.call(note).ok());
            knock->wake();
            if (hears) ::raise(SIGUSR1);
            l.reset();
            gone = true;
            CHECK_EQ(exits, 1);
            CHECK(!door.alive());
            CHECK(door.call(note) == errc::closed);
            CHECK(loop::current() == errc::closed);
        });
        same.call_soon(note);
        if (harness::simulated()) ::signal(SIGUSR1, SIG_IGN);
        CHECK(deletes.active());
        if (deletes.active()) run_in(how, same);
        CHECK(!l);
        delete_here(l, gone);
        CHECK_EQ(after, 0);
        CHECK_EQ(exits, 1);
        CHECK_EQ(ended, 4);
    }
    loop next;
    CHECK(next.status().ok());
}

TEST("what tasks wait for comes also when their loop was deleted: a child's end, a signal, a time limit, a call's answer") {
    if (harness::simulated()) harness::skip("the real kernel's children");
    world w;
    auto l = std::make_unique<loop>(w.options());
    loop& same = *l;
    auto other = loop_thread::start();
    REQUIRE(other.ok());
    pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::usleep(20'000);
        ::_exit(3);
    }
    int ended = 0;
    auto has_child = spawn([&] {
        cancel_shield until_the_end;
        auto const status = wait_any(exited(child));
        CHECK(status.ok());
        ++ended;
    });
    auto has_limit = spawn([&] {
        cancel_shield until_the_end;
        promise<int> never_set;
        CHECK(time_limit(never_set.get_future(), in(5ms)).get() == errc::timed_out);
        ++ended;
    });
    auto answered = spawn([&] {
        cancel_shield until_the_end;
        auto const got = run_on(other->remote(), [] { return sleep_for(5ms).ok() ? 5 : 0; });
        CHECK(got.ok() && *got == 5);
        ++ended;
    });
    CHECK(l->call_later(1ms, [&] { l.reset(); }).active());
    static_cast<void>(same.run());
    CHECK(!l);
    bool gone = false;
    delete_here(l, gone);
    CHECK_EQ(ended, 3);
}

namespace {
// The one that owns a loop, wherever it goes: the loop is deleted with it.
struct owner {
    std::shared_ptr<std::unique_ptr<loop>> held;
    void operator()() const {}
    void operator()(unhandled const&) const {}
};
// What an owner may be put into, and how that ends.
template <class F> void losing(char const* what, F&& f) {
    world w;
    owner own{std::make_shared<std::unique_ptr<loop>>(std::make_unique<loop>(w.options()))};
    loop& l = **own.held;
    REQUIRE(l.status().ok());
    auto const door = l.remote();
    f(w, l, std::move(own));
    if (door.alive()) std::fprintf(stderr, "%s: the loop lives\n", what);
    CHECK(!door.alive());
    loop next(w.options());   // the thread is free for another
    CHECK(next.status().ok());
    CHECK(next.run().ok());
}
}  // namespace

TEST("a loop whose last owner ends inside a call on it, in plain code, is deleted when that call is through") {
    losing("remove_reader", [](world& w, loop& l, owner own) {
        auto const p = w.pipe();
        bool const added = l.add_reader(p.first, std::move(own)).ok();
        CHECK(added);
        if (added) CHECK(l.remove_reader(p.first));   // else it is deleted
        w.close(p.first), w.close(p.second);
    });
    losing("remove_writer", [](world& w, loop& l, owner own) {
        auto const p = w.pipe();
        bool const added = l.add_writer(p.second, std::move(own)).ok();
        CHECK(added);
        if (added) CHECK(l.remove_writer(p.second));
        w.close(p.first), w.close(p.second);
    });
    losing("remove_signal_handlers", [](world&, loop& l, owner own) {
        CHECK(l.add_signal_handler(SIGUSR1, [] {}).ok());
        bool const added = l.add_signal_handler(SIGUSR1, std::move(own)).ok();
        CHECK(added);
        if (!added) return;   // it is deleted
        CHECK(l.add_signal_handler(SIGUSR1, [] {}).ok());
        CHECK(l.remove_signal_handlers(SIGUSR1));
    });
    losing("a refused reader", [](world&, loop& l, owner own) { CHECK(!l.add_reader(-1, std::move(own)).ok()); });
    losing("a refused signal", [](world&, loop& l, owner own) { CHECK(!l.add_signal_handler(SIGKILL, std::move(own)).ok()); });
    losing("a refused child", [](world&, loop& l, owner own) {
        CHECK(!l.add_child_handler(-1, [own = std::move(own)](result<exit_status>) {}).ok());
    });
    losing("a replaced hook", [](world&, loop& l, owner own) {
        l.on_unhandled(std::move(own));
        l.on_unhandled([](unhandled const&) {});
    });
    losing("a hook that is called", [](world&, loop& l, owner own) {
        l.on_unhandled([own = std::move(own)](unhandled const&) { own.held->reset(); });
        detail::callback_threw("one");
    });
    losing("a start hook", [](world&, loop& l, owner own) { CHECK(l.on_start(std::move(own)).cancel()); });
    losing("an idle callback", [](world&, loop& l, owner own) { CHECK(l.call_when_idle(std::move(own)).cancel()); });
    losing("a scoped handler", [](world&, loop& l, owner own) { scoped_handler const h(l.call_every(1ms, std::move(own))); });
}

TEST("a loop whose last owner is a value that is dropped in plain code is deleted when that is through") {
    losing("a task's value", [](world&, loop& l, owner own) {
        auto t = spawn([own = std::move(own)]() mutable { return std::move(own); });
        bool const made = t.id() != task_id{};
        CHECK(made);
        if (!made) return;   // it is deleted
        CHECK(l.run_until(t).ok());
        t = task<owner>();
    });
    losing("a future's value", [](world&, loop&, owner own) {
        promise<owner> p;
        auto f = p.get_future();
        CHECK(p.set(std::move(own)).ok());
    });
    losing("a follower's value", [](world&, loop&, owner own) {
        promise<owner> p, q;
        auto const f = q.get_future();
        CHECK(q.follow(p.get_future()).ok());
        CHECK(p.set(std::move(own)).ok());
    });
    losing("a task-local value", [](world&, loop&, owner own) {
        task_local<owner> kept;
        *kept = std::move(own);
        CHECK(kept.reset());
    });
    losing("a task-local object", [](world&, loop&, owner own) {
        task_local<owner> kept;
        *kept = std::move(own);
    });
    losing("a message", [](world&, loop&, owner own) {
        mailbox<owner> box(4);
        CHECK(box.send({"one", std::move(own)}).ok());
    });
    losing("an item of a channel", [](world&, loop&, owner own) {
        channel<owner> c(4);
        CHECK(c.try_send(std::move(own)).ok());
    });
    losing("a connection", [](world&, loop&, owner own) {
        emitter<> e;
        auto c = e.connect(std::move(own));
        c.disconnect();
    });
    losing("a timer", [](world&, loop&, owner own) {
        timer t(std::move(own));
        CHECK(t.start(1ms).ok());
    });
    losing("a timed call", [](world&, loop&, owner own) {
        auto f = timed(1h, [](owner const&) {});
        CHECK(f(std::move(own)));
        CHECK(f.stop());
    });
    losing("a job that never began", [](world&, loop&, owner own) {
        task_pool jobs(1);
        auto first = jobs.try_submit([] { static_cast<void>(sleep_for(1h)); });
        auto second = jobs.try_submit([own = std::move(own)] {});
        REQUIRE(first.ok() && second.ok());
        CHECK(second->cancel());
    });
    losing("a reader of a stream's fd", [](world& w, loop& l, owner own) {
        auto const p = w.sockets();
        auto made = stream::adopt(p.first);
        REQUIRE(made.ok());
        CHECK(l.add_reader(p.first, std::move(own)).ok());
        made->close();
        w.close(p.second);
    });
}

TEST("a loop that is deleted in the first steps of a task which plain code runs ends with that call") {
    losing("run_now", [](world&, loop&, owner own) {
        auto t = spawn([own = std::move(own)]() mutable { own.held->reset(); });
        CHECK(run_now(t).ok());
        CHECK(t.done());
    });
    losing("run_now, of a task that waits then", [](world&, loop&, owner own) {
        bool ended = false;
        auto t = spawn([&, own = std::move(own)]() mutable {
            own.held->reset();
            CHECK(sleep_for(1h) == errc::canceled);
            ended = true;
        });
        CHECK(run_now(t).ok());
        CHECK(ended);
    });
    losing("an async call", [](world&, loop&, owner own) {
        auto const f = async_function([&] { own.held->reset(); });
        CHECK(f().done());
    });
    losing("a receiver of a message", [](world&, loop& l, owner own) {
        mailbox<int> box;
        auto t = spawn([&] {
            CHECK(box.receive({.accept = {"go"}}).ok());
            own.held->reset();
        });
        CHECK(l.run_once(in(0s)).ok());
        CHECK(box.send({"go", 1}).ok());
    });
}

TEST("a loop that is run by the end of one of its callables, and deleted in there, ends with the call that ended that") {
    losing("cancel() that runs the loop", [](world&, loop& l, owner own) {
        struct runs {
            loop* on;
            std::shared_ptr<std::unique_ptr<loop>> held;
            runs(loop* l, std::shared_ptr<std::unique_ptr<loop>> h) : on(l), held(std::move(h)) {}
            runs(runs&& other) noexcept : on(std::exchange(other.on, nullptr)), held(std::move(other.held)) {}
            void operator()() const {}
            ~runs() {
                if (on) static_cast<void>(on->run_once(in(0s)));
            }
        };
        auto held = own.held;
        l.call_soon([held] { held->reset(); });
        CHECK(l.call_later(1h, runs(&l, std::move(own.held))).cancel());
    });
}

TEST("a loop that a task deletes while destroy() ends it is destroyed once, and says so to nobody") {
    world w;
    auto* const l = new loop(w.options());
    int late = 0;
    auto t = spawn([&] {
        static_cast<void>(sleep_for(1h));
        delete l;
        cancel_shield until_the_end;
        CHECK(sleep_for(1ms).ok());
    });
    l->call_every(1us, [&] { late += t.done(); });
    CHECK(l->run_once(in(0s)).ok());
    CHECK(l->destroy().ok());
    CHECK(t.done());
    CHECK_EQ(late, 0);
    loop next(w.options());
    CHECK(next.status().ok());
}

TEST("an exit hook that deletes the loop in its end is the last that runs, and none runs twice") {
    world w;
    auto* const l = new loop(w.options());
    int first = 0, second = 0;
    l->on_exit([&] { ++first; });
    l->on_exit([&] {
        ++second;
        delete l;
    });
    CHECK(l->destroy().ok());
    CHECK_EQ(first, 1);
    CHECK_EQ(second, 1);
}

TEST_DIES("a loop that another thread destroys ends the program, with the rule in words", "a loop is destroyed on its own thread") {
    auto l = std::make_unique<loop>();
    std::thread([&] { l.reset(); }).join();
}
