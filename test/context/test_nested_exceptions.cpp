// Exceptions within exceptions, across switches: destructors that throw inside while they are unwound, handlers inside
// handlers, and one exception object in the handlers of several tasks.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;

#if SPRUCE_EXCEPTIONS
namespace {
template <class F> auto run_virtually(F&& f) {
    testing::simulation world;
    loop_options o;
    o.on = world.on();
    return run(o, std::forward<F>(f));
}

// A different order of waking at each step, for each of the tasks that play together.
void wait_a_little(int task, int step) {
    if ((task + step) % 3 == 0) CHECK(yield().ok());
    else CHECK(sleep_for(std::chrono::microseconds((task * 7 + step * 5) % 11 + 1)).ok());
}

struct counted {
    static inline int alive = 0;
    int task;
    explicit counted(int t) noexcept : task(t) { ++alive; }
    counted(counted const& o) noexcept : task(o.task) { ++alive; }
    counted& operator=(counted const&) = delete;
    ~counted() { --alive; }
};

// In flight while this is destroyed: `outside` and one more. It throws again inside, so deep, and catches that.
struct throws_inside {
    int task, depth, outside;
    int* wrong;
    ~throws_inside() {
        int const mine = outside + 1;
        *wrong += std::uncaught_exceptions() != mine;
        wait_a_little(task, depth);
        *wrong += std::uncaught_exceptions() != mine;
        if (depth > 0) {
            try {
                throws_inside next{task, depth - 1, mine, wrong};
                throw counted(task * 100 + depth);
            } catch (counted const& c) {
                wait_a_little(task, depth + 1);
                *wrong += c.task != task * 100 + depth;
            }
        }
        wait_a_little(task, depth + 2);
        *wrong += std::uncaught_exceptions() != mine;
    }
};

// Handlers inside handlers. Each rethrows what it caught, after a wait and after an inner one has come and gone.
void rethrow_nested(int task, int depth, int* wrong) {
    try {
        try {
            throw counted(task * 100 + depth);
        } catch (counted const& c) {
            wait_a_little(task, depth);
            if (depth > 0) rethrow_nested(task, depth - 1, wrong);
            wait_a_little(task, depth + 1);
            *wrong += c.task != task * 100 + depth;
            throw;
        }
    } catch (counted const& again) {
        wait_a_little(task, depth + 2);
        *wrong += again.task != task * 100 + depth || std::uncaught_exceptions() != 0;
    }
}

template <class F> void play(F&& f) {
    std::vector<task<int>> all;
    for (int i = 0; i != 12; ++i) all.push_back(spawn([&f, i] {
        int wrong = 0;
        for (int round = 0; round != 5; ++round) f(i, &wrong);
        wrong += std::current_exception() != nullptr || std::uncaught_exceptions() != 0;
        return wrong;
    }));
    for (auto& t : all) CHECK_EQ(t.get().value_or(-1), 0);
}
}  // namespace

TEST("destructors that throw and catch while they are unwound may wait, and each task counts its own in flight") {
    CHECK(run_virtually([] {
        play([](int task, int* wrong) {
            try {
                throws_inside first{task, task % 5, 0, wrong};
                throw counted(task);
            } catch (counted const& c) {
                *wrong += c.task != task;
            }
        });
    }).ok());
    CHECK_EQ(counted::alive, 0);
}

TEST("handlers inside handlers rethrow their own exception after a wait, however deep, beside others that do the same") {
    CHECK(run_virtually([] {
        play([](int task, int* wrong) { rethrow_nested(task, task % 7, wrong); });
    }).ok());
    CHECK_EQ(counted::alive, 0);
}

TEST("one exception may be handled in several tasks at a time; it lives until the last of them lets go") {
    CHECK(run_virtually([] {
        auto first = std::make_exception_ptr(counted(42));
        std::vector<task<counted const*>> all;
        for (int i = 0; i != 8; ++i)
            all.push_back(spawn([i, kept = first]() mutable -> counted const* {
                try {
                    auto const mine = std::exchange(kept, nullptr);
                    wait_a_little(i, 0);
                    std::rethrow_exception(mine);
                } catch (counted const& c) {
                    CHECK(sleep_for(std::chrono::milliseconds(10 - i)).ok());   // the last to come is the first to go
                    CHECK_EQ(c.task, 42);
                    CHECK(std::uncaught_exceptions() == 0);
                    return &c;
                }
            }));
        first = nullptr;
        CHECK(sleep_for(5ms).ok());
        CHECK_EQ(counted::alive, 1);
        counted const* const at = all[0].get().value_or(nullptr);
        for (auto& t : all) CHECK(t.get().value_or(nullptr) == at);
        CHECK_EQ(counted::alive, 0);
    }).ok());
}

TEST("what a task failed with is thrown again by another, which waits in its handler after the first is gone") {
    CHECK(run_virtually([] {
        std::exception_ptr what;
        {
            auto fails = spawn([] {
                CHECK(yield().ok());
                throw std::runtime_error("as the first said");
            });
            CHECK(fails.get() == errc::task_failed);
            what = fails.exception();
        }
        auto again = spawn([&what] {
            try {
                std::rethrow_exception(std::exchange(what, nullptr));
            } catch (std::exception const& e) {
                auto other = spawn([] { throw 3; });
                CHECK(other.get() == errc::task_failed);
                CHECK(sleep_for(1ms).ok());
                return std::string(e.what());
            }
        });
        CHECK_EQ(std::string_view(again.get().value_or("")), "as the first said");
    }).ok());
}

TEST("a destructor that is unwound may run another task at once, which throws as if nothing were in flight") {
    CHECK(run_virtually([] {
        struct runs_another {
            int* seen;
            ~runs_another() {
                auto t = spawn([this] {
                    CHECK_EQ(std::uncaught_exceptions(), 0);
                    try {
                        throw counted(9);
                    } catch (counted const& c) {
                        CHECK(yield().ok());
                        *seen += c.task;
                    }
                });
                CHECK(run_now(t).ok());
                CHECK_EQ(std::uncaught_exceptions(), 1);
                REQUIRE(t.join().ok());
                CHECK_EQ(std::uncaught_exceptions(), 1);
            }
        };
        int seen = 0;
        try {
            runs_another here{&seen};
            throw counted(1);
        } catch (counted const& c) {
            CHECK_EQ(c.task, 1);
        }
        CHECK_EQ(seen, 9);
    }).ok());
    CHECK_EQ(counted::alive, 0);
}
#endif
