// Exceptions and switches: what the C++ runtime keeps of exceptions in flight is each task's own.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

#if SPRUCE_EXCEPTIONS
namespace {
template <class F> auto run_virtually(F&& f, loop_options o = {}) {
    testing::simulation world(harness::as_asked());
    o.on = world.on();
    return run(o, std::forward<F>(f));
}

// What an exception carries: whose it is, and which of theirs. Counted, so that none is lost or freed twice.
struct thrown {
    static inline long alive = 0;
    int task, number;
    thrown(int t, int n) noexcept : task(t), number(n) { ++alive; }
    thrown(thrown const& o) noexcept : task(o.task), number(o.number) { ++alive; }
    thrown& operator=(thrown const&) = default;
    ~thrown() { --alive; }
};

bool handling(int task, int number) {
    auto const now = std::current_exception();
    if (!now) return false;
    try {
        std::rethrow_exception(now);
    } catch (thrown const& t) {
        return t.task == task && t.number == number;
    } catch (...) {
        return false;
    }
}

// Waits one way or another; a switch to other tasks, to the hub, or through both.
void wait_somehow(harness::random& random) {
    switch (random.below(4)) {
    case 0: static_cast<void>(sleep_for(std::chrono::microseconds(random.below(500)))); break;
    case 1: break;
    default: static_cast<void>(yield());
    }
}

// Leaves by an exception while others run; the destructor switches in the midst of unwinding.
struct switches_while_unwinding {
    harness::random& random;
    int outside;   // how many were in flight when it was made
    int* wrong;
    ~switches_while_unwinding() {
        for (int i = 0; i != 2; ++i) {
            if (std::uncaught_exceptions() != outside + (unwound ? 1 : 0)) ++*wrong;
            wait_somehow(random);
        }
        if (std::uncaught_exceptions() != outside + (unwound ? 1 : 0)) ++*wrong;
    }
    bool unwound = true;
};

// A tree of throws, catches, rethrows and waits, with what the runtime says checked at every step.
struct player {
    int task;
    harness::random random;
    int numbers = 0, wrong = 0;
    long steps = 0;

    void play(int depth, int outer) {
        auto const expect = [&] { return outer < 0 ? std::current_exception() == nullptr : handling(task, outer); };
        for (int i = 0; i != 3; ++i) {
            ++steps;
            wrong += !expect();
            wait_somehow(random);
            wrong += !expect();
            if (depth == 0) continue;
            int const number = ++numbers;
            try {
                switches_while_unwinding guard{random, std::uncaught_exceptions(), &wrong};
                if (random.chance(80)) throw thrown(task, number);
                guard.unwound = false;
            } catch (thrown const& t) {
                wrong += t.task != task || t.number != number;
                wait_somehow(random);
                play(depth - 1, number);
                wrong += t.task != task || t.number != number;
                if (random.chance(40)) {
                    bool again = false;
                    try {
                        wait_somehow(random);
                        throw;
                    } catch (thrown const& u) {
                        again = true;
                        wait_somehow(random);
                        wrong += u.task != task || u.number != number || &u != &t;
                    }
                    wrong += !again;
                }
            }
            wrong += std::uncaught_exceptions() != 0;
        }
        wrong += !expect();
    }
};
}  // namespace

TEST("tasks suspended inside catch blocks each keep their own exception, whatever the others throw and catch") {
    auto const r = run_virtually([] {
        constexpr int tasks = 16;
        std::vector<std::unique_ptr<player>> players;
        std::vector<task<void>> all;
        harness::random random(harness::seed());
        for (int i = 0; i != tasks; ++i) {
            players.push_back(std::unique_ptr<player>(new player{i, harness::random(random.next())}));
            all.push_back(spawn([p = players.back().get()] {
                for (int round = 0; round != 8; ++round) p->play(4, -1);
            }));
        }
        for (auto& t : all) REQUIRE(t.join().ok());
        long steps = 0;
        for (auto const& p : players) {
            CHECK_EQ(p->wrong, 0);
            steps += p->steps;
        }
        CHECK(steps > 5'000);
        CHECK(std::current_exception() == nullptr);
        CHECK_EQ(std::uncaught_exceptions(), 0);
    });
    CHECK(r.ok());
    CHECK_EQ(thrown::alive, 0L);
}

TEST("two tasks that entered their handlers in one order may leave them in the other") {
    auto const r = run_virtually([] {
        std::string seen;
        auto const play = [&](char name, duration inside, int number) {
            try {
                throw std::runtime_error(std::string(1, name));
            } catch (std::runtime_error const& e) {
                CHECK(sleep_for(inside).ok());
                seen += e.what();
                try {
                    throw number;
                } catch (int n) {
                    CHECK(sleep_for(inside).ok());
                    CHECK_EQ(n, number);
                }
                seen += e.what();
            }
            CHECK(std::current_exception() == nullptr);
        };
        auto a = spawn(play, 'a', 10ms, 1), b = spawn(play, 'b', 3ms, 2);
        REQUIRE(a.join().ok());
        REQUIRE(b.join().ok());
        CHECK_EQ(std::string_view(seen), "bbaa");
    });
    CHECK(r.ok());
}

TEST("while a task waits inside a catch block, callbacks and new tasks see no exception") {
    auto const r = run_virtually([] {
        auto& l = *loop::current();
        int looked = 0;
        auto const look = [&] {
            ++looked;
            CHECK(std::current_exception() == nullptr);
            CHECK_EQ(std::uncaught_exceptions(), 0);
            try {
                throw 1;
            } catch (int) {
                CHECK(std::current_exception() != nullptr);
            }
        };
        auto a = spawn([&] {
            try {
                throw std::runtime_error("a");
            } catch (std::runtime_error const& e) {
                l.call_soon(look);
                auto b = spawn(look);
                CHECK(sleep_for(1ms).ok());
                CHECK_EQ(std::string_view(e.what()), "a");
                auto now = spawn(look);
                CHECK(run_now(now).ok());
                CHECK_EQ(looked, 3);
                CHECK_EQ(std::string_view(e.what()), "a");
                REQUIRE(b.join().ok());
                throw;   // and out of the task
            }
        });
        REQUIRE(a.join().ok());
        CHECK(a.get() == errc::task_failed);
        CHECK(a.exception() != nullptr);
    });
    CHECK(r.ok());
}

TEST("a destructor may wait while an exception unwinds its task, and others see none in flight") {
    auto const r = run_virtually([] {
        struct waits {
            int* counted;
            ~waits() {
                *counted += std::uncaught_exceptions();
                CHECK(sleep_for(1ms).ok());
                *counted += std::uncaught_exceptions();
            }
        };
        int counted = 0, elsewhere = 0;
        auto a = spawn([&] {
            try {
                waits w{&counted};
                throw 7;
            } catch (int n) {
                CHECK_EQ(n, 7);
            }
            CHECK_EQ(std::uncaught_exceptions(), 0);
        });
        auto b = spawn([&] {
            for (int i = 0; i != 10; ++i) {
                elsewhere += std::uncaught_exceptions();
                CHECK(sleep_for(200us).ok());
            }
        });
        REQUIRE(a.join().ok());
        REQUIRE(b.join().ok());
        CHECK_EQ(counted, 2);
        CHECK_EQ(elsewhere, 0);
    });
    CHECK(r.ok());
}

TEST("a task canceled inside a catch block leaves it as any other way") {
    auto const r = run_virtually([] {
        auto a = spawn([]() -> result<int> {
            try {
                throw thrown(1, 1);
            } catch (thrown const& t) {
                CHECK(sleep_for(1h) == errc::canceled);
                return t.number;
            }
        });
        CHECK(sleep_for(1ms).ok());
        CHECK(a.cancel());
        CHECK_EQ(a.get().value_or(0), 1);
    });
    CHECK(r.ok());
    CHECK_EQ(thrown::alive, 0L);
}

TEST("an exception kept by a pointer may be looked at in another task, while its own goes on") {
    auto const r = run_virtually([] {
        std::exception_ptr kept;
        auto a = spawn([&] {
            try {
                throw thrown(1, 5);
            } catch (...) {
                kept = std::current_exception();
                CHECK(sleep_for(1ms).ok());
                CHECK(handling(1, 5));
            }
        });
        auto b = spawn([&] {
            try {
                std::rethrow_exception(kept);
            } catch (thrown const& t) {
                CHECK_EQ(t.number, 5);
                CHECK(sleep_for(2ms).ok());   // the first task is out of its handler by then
                CHECK_EQ(t.number, 5);
                CHECK(handling(1, 5));
            }
        });
        REQUIRE(a.join().ok());
        REQUIRE(b.join().ok());
    });
    CHECK(r.ok());
    CHECK_EQ(thrown::alive, 0L);
}

TEST("plain code that runs a loop inside a catch block still has its exception afterwards, and tasks do not see it") {
    try {
        throw thrown(0, 9);
    } catch (thrown const& t) {
        auto const r = run_virtually([] {
            CHECK(std::current_exception() == nullptr);
            auto a = spawn([] {
                try {
                    throw thrown(1, 1);
                } catch (thrown const&) {
                    CHECK(yield().ok());
                    CHECK(handling(1, 1));
                }
            });
            REQUIRE(a.join().ok());
        });
        CHECK(r.ok());
        CHECK_EQ(t.number, 9);
        CHECK(handling(0, 9));
    }
    CHECK_EQ(thrown::alive, 0L);
}
#endif
