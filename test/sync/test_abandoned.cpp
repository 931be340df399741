// What destroy() abandons: in no line any more, whatever it waited for, and what comes later goes to others.
#include <csignal>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
loop_options hurried() {
    loop_options o;
    o.destroy_grace = 0ms;
    return o;
}

// The things that are waited for, in plain code: they outlive the loop, and are used again by another one.
struct all_things {
    event happened;
    semaphore permits{0};
    mutex lock;
    mutex guarded;
    recursive_mutex again;
    condition_variable changed;
    channel<int> places{1}, meeting, crowded{1};
    queue<int> items{1}, work{1};
    wait_group left;
    barrier together{2}, acting{2, [this] { static_cast<void>(never_set.wait()); }};
    event never_set;
    mailbox<int> box;
    called<int> asked;
    emitter<int> news;
    shared_channel<int> shared{1}, shared_crowded{1};
    shared_event signalled;
    std::optional<promise<int>> given;
    std::optional<task<void>> other;
    std::optional<generator<int>> numbers;
    std::optional<task_pool> pool;
    std::optional<async_function<void()>> one_by_one;
    std::optional<completions<int>> finished;
    std::optional<future<int>> to_come[1];
    int fd = -1;
};

struct way {
    char const* name;
    void (*wait)(all_things&);
    void (*after)(all_things&);   // once the loop has ended: what the task waited for is as if it had never come
};

void forever(all_things& a) { static_cast<void>(a.never_set.wait()); }

// The waits of one thing at a time.
constexpr way ways[] = {
    {"event", [](all_things& a) { static_cast<void>(a.happened.wait()); }, [](all_things& a) { a.happened.set(); }},
    {"event with a deadline", [](all_things& a) { static_cast<void>(a.happened.wait(in(1h))); }, [](all_things& a) { a.happened.set(); }},
    {"semaphore", [](all_things& a) { static_cast<void>(a.permits.acquire()); },
     [](all_things& a) {
         CHECK(a.permits.release().ok());
         CHECK_EQ(a.permits.available(), 1u);
         CHECK(a.permits.try_acquire().ok());
     }},
    {"mutex", [](all_things& a) { static_cast<void>(a.lock.lock()); },
     [](all_things& a) { CHECK_EQ(ending_of(a.lock.try_lock()), errc::would_wait); }},   // its owner was abandoned, see below
    {"recursive_mutex", [](all_things& a) { static_cast<void>(a.again.lock()); },
     [](all_things& a) { CHECK_EQ(ending_of(a.again.try_lock()), errc::would_wait); }},
    {"condition_variable",
     [](all_things& a) {
         auto held = a.guarded.lock();
         if (held) static_cast<void>(a.changed.wait(*held));
     },
     [](all_things& a) {
         CHECK_EQ(a.changed.notify_all(), 0u);
         CHECK(a.guarded.try_lock().ok());
     }},
    {"channel, to receive", [](all_things& a) { static_cast<void>(a.places.receive()); },
     [](all_things& a) {
         CHECK(a.places.try_send(7).ok());
         CHECK_EQ(a.places.try_receive().value_or(0), 7);
     }},
    {"rendezvous, to receive", [](all_things& a) { static_cast<void>(a.meeting.receive()); },
     [](all_things& a) { CHECK_EQ(ending_of(a.meeting.try_send(7)), errc::full); }},
    {"rendezvous, to send", [](all_things& a) { static_cast<void>(a.meeting.send(7)); },
     [](all_things& a) { CHECK_EQ(ending_of(a.meeting.try_receive()), errc::would_wait); }},
    {"channel, to send", [](all_things& a) { static_cast<void>(a.crowded.send(8)); },
     [](all_things& a) {
         CHECK_EQ(a.crowded.try_receive().value_or(0), 1);
         CHECK_EQ(ending_of(a.crowded.try_receive()), errc::would_wait);
     }},
    {"queue, to take", [](all_things& a) { static_cast<void>(a.items.take()); },
     [](all_things& a) {
         CHECK(a.items.try_push(7).ok());
         CHECK_EQ(a.items.try_take().value_or(0), 7);
     }},
    {"queue, to push", [](all_things& a) { static_cast<void>(a.work.push(8)); },
     [](all_things& a) {
         CHECK_EQ(a.work.try_take().value_or(0), 1);
         CHECK_EQ(ending_of(a.work.try_take()), errc::would_wait);
     }},
    {"queue, to join", [](all_things& a) { static_cast<void>(a.work.join()); },
     [](all_things& a) {
         CHECK(a.work.try_take().ok());
         CHECK(a.work.task_done().ok());
     }},
    {"wait_group", [](all_things& a) { static_cast<void>(a.left.wait()); }, [](all_things& a) { CHECK(a.left.done().ok()); }},
    {"barrier", [](all_things& a) { static_cast<void>(a.together.wait()); },
     [](all_things& a) {
         CHECK(a.together.broken());
         CHECK_EQ(a.together.waiting(), 0u);
         a.together.reset();
     }},
    {"mailbox", [](all_things& a) { static_cast<void>(a.box.receive({.accept = {"x"}})); },
     [](all_things& a) {
         CHECK_EQ(a.box.action("x"), message_action::queue);
         CHECK(a.box.send({.name = "x", .value = 1}).ok());
         CHECK_EQ(a.box.size(), 1u);
     }},
    {"called", [](all_things& a) { static_cast<void>(wait_any(a.asked)); }, [](all_things& a) { CHECK(a.asked(1).ok()); }},
    {"emitted",
     [](all_things& a) {
         emitted heard(a.news);
         static_cast<void>(wait_any(heard));
     },
     [](all_things& a) { a.news.emit(1); }},
    {"shared_channel, to receive", [](all_things& a) { static_cast<void>(a.shared.receive()); },
     [](all_things& a) {
         CHECK(a.shared.try_send(7).ok());
         CHECK_EQ(a.shared.try_receive().value_or(0), 7);
     }},
    {"shared_channel, to send", [](all_things& a) { static_cast<void>(a.shared_crowded.send(8)); },
     [](all_things& a) {
         CHECK_EQ(a.shared_crowded.try_receive().value_or(0), 1);
         CHECK_EQ(ending_of(a.shared_crowded.try_receive()), errc::would_wait);
     }},
    {"shared_event", [](all_things& a) { static_cast<void>(a.signalled.wait()); }, [](all_things& a) { a.signalled.set(); }},
    {"future", [](all_things& a) { static_cast<void>(a.given->get_future().get()); }, [](all_things& a) { a.given.reset(); }},
    {"task, to join", [](all_things& a) { static_cast<void>(a.other->join()); }, [](all_things& a) { a.other.reset(); }},
    {"task, to get", [](all_things& a) { static_cast<void>(a.other->get()); }, [](all_things& a) { a.other.reset(); }},
    {"generator", [](all_things& a) { static_cast<void>(a.numbers->next()); }, [](all_things& a) { a.numbers.reset(); }},
    {"task_pool", [](all_things& a) { static_cast<void>(a.pool->join()); }, [](all_things& a) { a.pool.reset(); }},
    {"completions", [](all_things& a) { static_cast<void>(a.finished->next()); }, [](all_things& a) { a.finished.reset(); }},
    {"sleep", [](all_things&) { static_cast<void>(sleep_for(1h)); }, [](all_things&) {}},
    {"hub", [](all_things&) { switch_to_hub(); }, [](all_things&) {}},
    {"group", [](all_things& a) {
         task_group group;
         group.spawn([&] { cancel_shield const whatever; forever(a); });
         static_cast<void>(group.join());
     }, [](all_things&) {}},
    {"group's end", [](all_things& a) {
         task_group group;
         group.spawn([&] { cancel_shield const whatever; forever(a); });
     }, [](all_things&) {}},
    {"yield", [](all_things&) { for (;;) static_cast<void>(yield()); }, [](all_things&) {}},
    {"call in its turn", [](all_things& a) { static_cast<void>((*a.one_by_one)().get()); }, [](all_things&) {}},
    {"readable", [](all_things& a) { static_cast<void>(wait_any(readable(a.fd))); }, [](all_things&) {}},
    {"a beat", [](all_things&) { static_cast<void>(wait_any(every(1h))); }, [](all_things&) {}},
    // The same among several, for the first and for all of them.
    {"any event, permit, channel", [](all_things& a) { static_cast<void>(wait_any(a.happened, a.permits, a.places, a.meeting)); },
     [](all_things& a) {
         a.happened.set();
         CHECK(a.permits.release().ok());
         CHECK_EQ(a.permits.available(), 1u);
         CHECK(a.places.try_send(7).ok());
         CHECK_EQ(a.places.try_receive().value_or(0), 7);
         CHECK_EQ(ending_of(a.meeting.try_send(7)), errc::full);
     }},
    {"all of an event, a permit, a channel", [](all_things& a) { static_cast<void>(wait_all(a.happened, a.permits, a.places, a.meeting)); },
     [](all_things& a) {
         CHECK(a.permits.release().ok());
         CHECK(a.places.try_send(7).ok());
         CHECK_EQ(ending_of(a.meeting.try_send(7)), errc::full);
         a.happened.set();
         CHECK_EQ(a.permits.available(), 1u);
         CHECK_EQ(a.places.try_receive().value_or(0), 7);
     }},
    {"any sending, in time",
     [](all_things& a) {
         sending<int> one(a.crowded, 8), other(a.meeting, 9);
         static_cast<void>(wait_any(one, other, in(1h)));
     },
     [](all_things& a) {
         CHECK_EQ(a.crowded.try_receive().value_or(0), 1);
         CHECK_EQ(ending_of(a.crowded.try_receive()), errc::would_wait);
         CHECK_EQ(ending_of(a.meeting.try_receive()), errc::would_wait);
     }},
    {"any shared",
     [](all_things& a) { static_cast<void>(wait_any(a.shared, a.signalled)); },
     [](all_things& a) {
         CHECK(a.shared.try_send(7).ok());
         CHECK_EQ(a.shared.try_receive().value_or(0), 7);
         a.signalled.set();
     }},
    {"all of the shared",
     [](all_things& a) { static_cast<void>(wait_all(a.shared, a.signalled)); },
     [](all_things& a) {
         CHECK(a.shared.try_send(7).ok());
         CHECK_EQ(a.shared.try_receive().value_or(0), 7);
         a.signalled.set();
     }},
    {"any future, task, generator",
     [](all_things& a) {
         auto f = a.given->get_future();
         static_cast<void>(wait_any(f, *a.other, *a.numbers));
     },
     [](all_things& a) {
         a.given.reset();
         a.other.reset();
         a.numbers.reset();
     }},
    {"any message or call",
     [](all_things& a) {
         received<int> wanted(a.box, "x"), more(a.box, "y");
         static_cast<void>(wait_any(wanted, more, a.asked));
     },
     [](all_things& a) {
         CHECK_EQ(a.box.action("x"), message_action::queue);
         CHECK(a.box.send({.name = "y", .value = 1}).ok());
         CHECK_EQ(a.box.size(), 1u);
         CHECK(a.asked(1).ok());
     }},
    {"in a barrier's action", [](all_things& a) {
         spawn([&] { cancel_shield const whatever; static_cast<void>(a.acting.wait()); });
         static_cast<void>(a.acting.wait());
     },
     [](all_things& a) {
         CHECK(a.acting.broken());
         CHECK_EQ(a.acting.waiting(), 0u);
     }},
    {"for the lock, after a notification",
     [](all_things& a) {
         spawn([&] {
             cancel_shield const whatever;
             auto held = a.guarded.lock();
             if (held) static_cast<void>(a.changed.wait(*held));
         });
         settle();
         auto held = a.guarded.lock();
         a.changed.notify_all();
         forever(a);
     },
     [](all_things& a) { CHECK_EQ(ending_of(a.guarded.try_lock()), errc::would_wait); }},
    {"signal", [](all_things&) { static_cast<void>(wait_any(signaled(SIGUSR1))); }, [](all_things&) {}},
};

// What the tasks wait for is there, and is not to come.
void set_up(all_things& a) {
    a.left.add();
    CHECK(a.crowded.try_send(1).ok());
    CHECK(a.work.try_push(1).ok());
    CHECK(a.shared_crowded.try_send(1).ok());
}
void set_up_in_task(all_things& a) {
    a.given.emplace();
    a.other.emplace(spawn([&] { cancel_shield const whatever; forever(a); }));
    a.numbers.emplace([&](yielder<int>&) { cancel_shield const whatever; forever(a); });
    a.pool.emplace(1);
    static_cast<void>(a.pool->submit([&] { cancel_shield const whatever; forever(a); }));
    a.one_by_one.emplace([&] { cancel_shield const whatever; forever(a); }, async_options{.policy = call_policy::synchronized});
    static_cast<void>((*a.one_by_one)());
    future<int> pending[] = {a.given->get_future()};
    a.finished.emplace(as_completed(std::span(pending)));
    spawn([&a] { auto const held = a.lock.lock(); cancel_shield const whatever; forever(a); });
    spawn([&a] { auto const held = a.again.lock(); cancel_shield const whatever; forever(a); });
    settle();
}

void a_few_turns(loop& hub) {
    for (int i = 0; i != 12; ++i) static_cast<void>(hub.run_once(in(0s)));
}

loop_options on_kernel(testing::simulation& world, loop_options o = hurried()) {
    o.on = world.on();
    return o;
}

// Runs with the things, and abandons `wait`.
template <class F> void abandon_in(all_things& a, loop_options const& o, F&& wait) {
    int pipe_fds[2] = {-1, -1};
    if (!o.on && ::pipe2(pipe_fds, O_CLOEXEC) == 0) a.fd = pipe_fds[0];
    set_up(a);
    {
        loop hub(o);
        REQUIRE(hub.status().ok());
        spawn([&] {
            set_up_in_task(a);
            spawn([&] {
                cancel_shield const whatever;
                wait();
                forever(a);
            });
        });
        a_few_turns(hub);
        auto const ended = hub.destroy(in(0ms));
        CHECK_EQ(ending_of(ended), errc::tasks_left);
    }
    for (int const fd : pipe_fds)
        if (fd >= 0) ::close(fd);
}
}  // namespace

TEST("a task that its loop abandons stands in no line any more: what comes goes to others, and sources end without it") {
    for (bool const simulated : {true, false}) {
        for (way const& w : ways) {
            if (simulated && std::string_view(w.name) == "readable") continue;
            auto a = std::make_unique<all_things>();
            {
                std::optional<testing::simulation> world;
                if (simulated) world.emplace(harness::as_asked());
                abandon_in(*a, simulated ? on_kernel(*world) : hurried(), [&] { w.wait(*a); });
                w.after(*a);
            }
            a.reset();
        }
    }
    harness::pass();
}

TEST("a task that its loop abandons while it waits for another loop leaves nothing to be done there but what has begun") {
    std::atomic<bool> goes_on{false}, ran{false};
    auto made = loop_thread::start();
    REQUIRE(made.ok());
    loop_ref const elsewhere = made->remote();
    REQUIRE(elsewhere.call([&] { while (!goes_on) ::usleep(1000); }).ok());
    {
        loop hub(hurried());
        spawn([&] { cancel_shield const whatever; static_cast<void>(elsewhere.call_wait([&] { ran = true; })); });
        spawn([&] { cancel_shield const whatever; static_cast<void>(run_on(elsewhere, [] {})); });
        CHECK(hub.run_once(in(0s)).ok());
        CHECK_EQ(ending_of(hub.destroy(in(0s))), errc::tasks_left);
    }
    goes_on = true;
    CHECK(made->stop().ok());
    CHECK(made->join().ok());
    CHECK(!ran);
    harness::pass();
}

namespace {
// Ends a loop whose tasks are not to wake again: a turn runs so few that those woken last never get theirs.
loop_options of_few_steps() {
    loop_options o = hurried();
    o.turn_budget = 1;
    return o;
}
}  // namespace

TEST("a permit and a lock handed to a task that is abandoned before it runs go to others") {
    semaphore permits(0);
    mutex lock;
    {
        testing::simulation world(harness::as_asked());
        loop hub(on_kernel(world, of_few_steps()));
        event last_turn;
        spawn([&] {
            cancel_shield const whatever;
            auto held = lock.lock();
            static_cast<void>(last_turn.wait());
            CHECK(permits.release(2).ok());
            held->unlock();
            event never;
            static_cast<void>(never.wait());
        });
        spawn([&] { cancel_shield const whatever; static_cast<void>(permits.acquire()); });
        spawn([&] { cancel_shield const whatever; static_cast<void>(wait_any(permits)); });
        spawn([&] { cancel_shield const whatever; static_cast<void>(lock.lock()); });
        a_few_turns(hub);
        // What is handed over in the last pass of all goes to those that never run again.
        auto const last = hub.call_soon([&] { last_turn.set(); });
        CHECK(last.active());
        CHECK_EQ(ending_of(hub.destroy(in(0s))), errc::tasks_left);
    }
    CHECK_EQ(permits.available(), 2u);
    CHECK(lock.try_lock().ok());
    harness::pass();
}

TEST("a task that was woken before its loop's deadline takes what it was woken for, though the deadline has passed") {
    channel<int> values;
    int got = 0;
    {
        testing::simulation world(harness::as_asked());
        loop hub(on_kernel(world, of_few_steps()));
        spawn([&] {
            cancel_shield const whatever;
            got = values.receive().value_or(-1);
            event never;
            static_cast<void>(never.wait());
        });
        spawn([&] { static_cast<void>(sleep_for(1h)); });
        a_few_turns(hub);
        auto const last = hub.call_soon([&] { CHECK(values.try_send(7).ok()); });
        CHECK(last.active());
        CHECK_EQ(ending_of(hub.destroy(in(0s))), errc::tasks_left);
    }
    CHECK_EQ(got, 7);
    harness::pass();
}

TEST("a mutex whose owner was abandoned stays locked, and may end so") {
    {
        mutex lock;
        {
            testing::simulation world(harness::as_asked());
            loop hub(on_kernel(world));
            spawn([&] {
                auto const held = lock.lock();
                cancel_shield const whatever;
                event never;
                static_cast<void>(never.wait());
            });
            a_few_turns(hub);
            CHECK_EQ(ending_of(hub.destroy(in(0s))), errc::tasks_left);
        }
        CHECK_EQ(ending_of(lock.try_lock()), errc::would_wait);
    }
    harness::pass();
}

TEST("a function of one call at a time can be called on the next loop, though the last one abandoned a call") {
    event never;
    int ran = 0;
    async_function once([&] {
        if (++ran == 1) {
            cancel_shield const whatever;
            static_cast<void>(never.wait());
        }
    }, async_options{.policy = call_policy::synchronized});
    for (int i = 0; i != 2; ++i) {
        testing::simulation world(harness::as_asked());
        loop hub(on_kernel(world));
        auto const made = once();
        a_few_turns(hub);
        CHECK_EQ(made.done(), i == 1);
        CHECK_EQ(hub.destroy(in(0s)).ok(), i == 1);
    }
    CHECK_EQ(ran, 2);
    harness::pass();
}
