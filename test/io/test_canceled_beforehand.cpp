// Every call that may wait, made by a task that was canceled before it, and in a scope whose time is over: it fails with
// canceled and does nothing, though it could be done at once. The rules of the house (tools/checks/waiting_rules.py)
// compare the names here with what the public headers say may wait.
#include <array>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <spruce/spruce.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// How a call went; of one that gives nothing but an error, that.
template <class R> std::optional<error> error_of(R const& r) {
    if (r.ok()) return std::nullopt;
    return r.error();
}

// Makes the call both ways, and says of each what was wrong with it.
struct probe {
    char const* name;
    std::list<loop_thread>& threads;   // those that were made end outside of the run, whose virtual time knows nothing of them
    loop_thread& other_thread() {
        auto made = loop_thread::start();
        REQUIRE(made.ok());
        return threads.emplace_back(std::move(*made));
    }
    template <class F> void refused(F&& f) {
        task<void> self;
        std::optional<error> canceled, late;
        task_id scope;
        auto other = spawn([&] {
            self.cancel();
            canceled = error_of(f());
        });
        self = std::move(other);
        task_id const id = self.id();
        CHECK(self.join().ok());
        expect(canceled, id, "in a canceled task");
        auto const past = at(time_point(1ns));   // of any loop
        CHECK(spawn([&] {
            static_cast<void>(with_deadline(past, [&](task_id me) -> result<void> {
                scope = me;
                late = error_of(f());
                return {};
            }));
        }).join().ok());
        expect(late, scope, "in a scope whose time is over");
    }
    void expect(std::optional<error> const& got, task_id origin, char const* where) {
        if (got && *got == errc::canceled && got->is_from(origin)) return;
        std::string const what = std::string(name) + " " + where + ": " + (got ? got->name() : "ok");
        harness::fail(__FILE__, __LINE__, what.c_str());
    }
};

struct row {
    char const* name;
    void (*run)(probe& p);
};
#define CALL(name, ...) {name, [](probe& p) __VA_ARGS__}

std::string_view text = "0123456789\n";
pipe_ends full_pipe() {
    auto made = make_pipe();
    REQUIRE(made.ok());
    REQUIRE(made->write_end.write(text).ok());
    return std::move(*made);
}
void still_all_in(pipe_ends& pipe) {
    char room[64];
    std::size_t all = 0;
    while (all < text.size()) {   // a read may give less
        auto const n = pipe.read_end.read({room, sizeof room}, in(1s));
        REQUIRE(n.ok());
        all += *n;
    }
    CHECK_EQ(all, text.size());
}
template <class T> future<T> done(T value) {
    promise<T> p;
    auto f = p.get_future();
    CHECK(p.set(std::move(value)).ok());
    return f;
}

row const rows[] = {
    // -- the task by itself
    CALL("yield", { p.refused([] { return yield(); }); }),
    CALL("sleep_for", {
        p.refused([] { return sleep_for(1ms); });
        p.refused([] { return sleep_for(0s); });
    }),
    CALL("sleep_until", {
        p.refused([] { return sleep_until(loop_clock::now() + 1ms); });
        p.refused([] { return sleep_until(loop_clock::now() - 1s); });
    }),
    CALL("switch_to_hub", {
        p.refused([] {
            switch_to_hub();   // nobody makes it ready again: it comes back at once
            return yield();
        });
    }),
    // -- tasks
    CALL("task::join", {
        auto t = spawn([] {});
        CHECK(t.join().ok());
        p.refused([&] { return t.join(); });
    }),
    CALL("task::get", {
        auto t = spawn([] { return std::make_unique<int>(3); });
        CHECK(t.join().ok());
        p.refused([&] { return t.get(); });
        p.refused([&] { return std::move(t).get(); });
        CHECK(t.get().ok());   // it was not moved out
    }),
    CALL("task_group::join", {
        p.refused([] {
            task_group none;
            return none.join();
        });
        p.refused([] {
            task_group failed;
            {
                cancel_shield const until_it_has_failed;
                failed.spawn([]() -> result<void> { return errc::broken; });
                static_cast<void>(yield());
            }
            auto const joined = failed.join();
            cancel_shield const look;
            CHECK(failed.join() == errc::broken);   // not lost by the first
            return joined;
        });
    }),
    // -- sync
    CALL("event::wait", {
        event set;
        set.set();
        p.refused([&] { return set.wait(); });
    }),
    CALL("semaphore::acquire", {
        semaphore one(1);
        p.refused([&] { return one.acquire(); });
        CHECK(one.try_acquire().ok());
    }),
    CALL("mutex::lock", {
        mutex free;
        p.refused([&] { return free.lock(); });
        CHECK(free.try_lock().ok());
    }),
    CALL("recursive_mutex::lock", {
        recursive_mutex free;
        p.refused([&] { return free.lock(); });
        p.refused([&] {
            auto const mine = free.try_lock();
            return free.lock();
        });
        CHECK(free.try_lock().ok());
    }),
    CALL("condition_variable::wait", {
        mutex m;
        condition_variable changed;
        p.refused([&] {
            auto held = m.try_lock();
            REQUIRE(held.ok());
            return changed.wait(*held);
        });
        p.refused([&] {
            auto held = m.try_lock();
            REQUIRE(held.ok());
            return changed.wait(*held, [] { return false; });
        });
        CHECK(m.try_lock().ok());
    }),
    CALL("wait_group::wait", {
        wait_group none;
        p.refused([&] { return none.wait(); });
    }),
    CALL("barrier::wait", {
        barrier alone(1);
        p.refused([&] { return alone.wait(); });
    }),
    CALL("channel::send", {
        channel<int> c(4);
        p.refused([&] { return c.send(1); });
        int const kept = 1;
        p.refused([&] { return c.send(kept); });
        CHECK_EQ(c.size(), 0U);
    }),
    CALL("channel::send_error", {
        channel<int> c(4);
        p.refused([&] { return c.send_error(errc::broken); });
        CHECK_EQ(c.size(), 0U);
    }),
    CALL("channel::receive", {
        channel<int> c(4);
        CHECK(c.send(1).ok());
        p.refused([&] { return c.receive(); });
        CHECK_EQ(c.size(), 1U);
    }),
    CALL("basic_queue::push", {
        queue<int> q(4);
        p.refused([&] { return q.push(1); });
        CHECK_EQ(q.size(), 0U);
    }),
    CALL("basic_queue::take", {
        queue<int> q(4);
        CHECK(q.push(1).ok());
        p.refused([&] { return q.take(); });
        CHECK_EQ(q.size(), 1U);
    }),
    CALL("basic_queue::join", {
        queue<int> q(4);
        p.refused([&] { return q.join(); });
    }),
    CALL("mailbox::receive", {
        mailbox<int> box;
        CHECK(box.send({"n", 1}).ok());
        p.refused([&] { return box.receive({}); });
        CHECK_EQ(box.size(), 1U);
    }),
    CALL("shared_channel::send", {
        shared_channel<int> c(4);
        p.refused([&] { return c.send(1); });
        int const kept = 1;
        p.refused([&] { return c.send(kept); });
        CHECK(c.try_receive() == errc::would_wait);
    }),
    CALL("shared_channel::receive", {
        shared_channel<int> c(4);
        CHECK(c.try_send(1).ok());
        p.refused([&] { return c.receive(); });
        CHECK(c.try_receive().ok());
    }),
    CALL("shared_event::wait", {
        shared_event set;
        set.set();
        p.refused([&] { return set.wait(); });
    }),
    CALL("wait_any", {
        semaphore one(1);
        event set;
        set.set();
        p.refused([&] { return wait_any(one, set); });
        p.refused([&] { return wait_any(in(0s), one); });
        CHECK(one.try_acquire().ok());
    }),
    CALL("wait_all", {
        semaphore one(1);
        event set;
        set.set();
        p.refused([&] { return wait_all(one, set); });
        p.refused([&] { return wait_all(one, set, in(0s)); });
        CHECK(one.try_acquire().ok());
    }),
    // -- futures
    CALL("future::wait", {
        auto f = done(1);
        p.refused([&] { return f.wait(); });
    }),
    CALL("future::get", {
        auto f = done(std::make_unique<int>(1));
        p.refused([&] { return f.get(); });
        p.refused([&] { return std::move(f).get(); });
        CHECK(f.get().ok());
    }),
    CALL("completions::next", {
        std::array<future<int>, 1> all{done(1)};
        auto each = as_completed(std::span(all));
        p.refused([&] { return each.next(); });
        CHECK(each.next().ok());
    }),
    CALL("generator::next", {
        generator<int> g([](yielder<int>& give) { static_cast<void>(give(1)); });
        static_cast<void>(yield());
        p.refused([&] { return g.next(); });
        CHECK_EQ(g.next().value_or(0), 1);
    }),
    CALL("task_pool::submit", {
        task_pool pool(1);
        p.refused([&] { return pool.submit([] { CHECK(false); }); });
        CHECK_EQ(pool.size(), 0U);
    }),
    CALL("task_pool::map", {
        task_pool pool(1, {.bound = 0});
        std::array<int, 2> const inputs{1, 2};
        p.refused([&] { return pool.map(inputs, [](int n) { return n; }).next(); });
    }),
    CALL("task_pool::join", {
        task_pool pool(1);
        p.refused([&] { return pool.join(); });
    }),
    CALL("task_pool::shutdown", {
        task_pool pool(1);
        p.refused([&] { return pool.shutdown(); });
    }),
    CALL("pool_results::next", {
        task_pool pool(1);
        std::array<int, 1> const inputs{1};
        auto all = pool.map(inputs, [](int n) { return n; });
        CHECK(pool.join().ok());
        p.refused([&] {
            auto const next = all.next();
            return next;
        });
        CHECK_EQ(all.next().value_or(0), 1);
    }),
    // -- other loops
    CALL("loop_ref::call_wait", {
        loop_thread& other = p.other_thread();
        p.refused([&] { return other.remote().call_wait([] { CHECK(false); }); });
    }),
    CALL("run_on", {
        loop_thread& other = p.other_thread();
        p.refused([&] { return run_on(other.remote(), [] { CHECK(false); }); });
    }),
    CALL("loop_thread::join", {
        loop_thread& other = p.other_thread();
        p.refused([&] { return other.join(); });
        CHECK(other.stop().ok());
        CHECK(other.join().ok());
        p.refused([&] { return other.join(); });
    }),
    // -- io
    CALL("stream::read", {
        auto pipe = full_pipe();
        char room[4];
        p.refused([&] { return pipe.read_end.read(room); });
        still_all_in(pipe);
    }),
    CALL("stream::write", {
        auto pipe = full_pipe();
        p.refused([&] { return pipe.write_end.write(text); });
        const_bytes const parts[] = {text, text};
        p.refused([&] { return pipe.write_end.write(std::span<const_bytes const>(parts)); });
        CHECK_EQ(pipe.write_end.bytes_written(), text.size());
        still_all_in(pipe);
    }),
    CALL("stream::write_some", {
        auto pipe = full_pipe();
        p.refused([&] { return pipe.write_end.write_some(text); });
        CHECK_EQ(pipe.write_end.bytes_written(), text.size());
        still_all_in(pipe);
    }),
    CALL("reader::read_exactly", {
        auto pipe = full_pipe();
        reader in(pipe.read_end);
        p.refused([&] { return in.read_exactly(4); });
        CHECK_EQ(in.read_exactly(4).value_or(""), "0123");
    }),
    CALL("reader::read_until", {
        auto pipe = full_pipe();
        reader in(pipe.read_end);
        p.refused([&] { return in.read_until({"5"}); });
        CHECK_EQ(in.read_until({"5"}).value_or(""), "012345");
    }),
    CALL("reader::read_line", {
        auto pipe = full_pipe();
        reader in(pipe.read_end);
        p.refused([&] { return in.read_line(); });
        CHECK_EQ(in.read_line().value_or(""), "0123456789");
    }),
    CALL("reader::read_some", {
        auto pipe = full_pipe();
        reader in(pipe.read_end);
        p.refused([&] { return in.read_some(); });
        CHECK_EQ(in.read_exactly(text.size()).value_or(""), text);   // a read may give less
    }),
    CALL("tcp_stream::connect", {
        auto listener = tcp_listener::listen("127.0.0.1:0");
        REQUIRE(listener.ok());
        p.refused([&] { return tcp_stream::connect(listener->local()); });
        p.refused([&] { return tcp_stream::connect(listener->local().text()); });
        CHECK(listener->accept(in(0s)) == errc::timed_out);   // nobody came
    }),
    CALL("tcp_listener::accept", {
        auto listener = tcp_listener::listen("127.0.0.1:0");
        REQUIRE(listener.ok());
        auto const peer = tcp_stream::connect(listener->local(), in(5s));
        REQUIRE(peer.ok());
        p.refused([&] { return listener->accept(); });
        CHECK(listener->accept(in(5s)).ok());
    }),
};
}  // namespace

TEST("every call that may wait fails at once in a canceled task, and in a scope whose time is over, and does nothing") {
    harness::world w;
    std::list<loop_thread> threads;
    auto r = run(w.options(), [&]() -> result<void> {
        for (row const& each : rows) {
            probe p{each.name, threads};
            each.run(p);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for a shared source, or several things, that was woken in vain, and canceled before it ran, does not wait again") {
    harness::world w;
    auto r = run(w.options(), []() -> result<void> {
        SPRUCE_TRY(loop& here, loop::current());
        for (int way = 0; way != 3; ++way) {
            shared_channel<int> c(4);
            event set;
            set.set();
            std::optional<error> got;
            auto waits = spawn([&] {
                if (way == 0) got = error_of(c.receive());
                if (way == 1) got = error_of(wait_any(c));
                if (way == 2) got = error_of(wait_all(c, set));
            });
            SPRUCE_CHECK(yield());
            CHECK(c.try_send(1).ok());
            // Comes right behind the notice, before who is woken by it runs.
            auto behind = here.remote().call([&] {
                CHECK(c.try_receive().ok());
                CHECK(waits.cancel());
            });
            CHECK(behind.ok());
            CHECK(waits.join(in(5s)).ok());
            CHECK(behind && !behind->cancel());   // it ran, or uses from here on what is gone
            CHECK(got && *got == errc::canceled && got->is_from(waits.id()));
        }
        return {};
    });
    CHECK(r.ok());
}
