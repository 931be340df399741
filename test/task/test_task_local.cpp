// Task-local values: one for each task and object, made when asked for, gone with the task.
#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../harness/axes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::world;

namespace {
struct counted {
    static inline int alive = 0;
    int value = 0;
    counted() { ++alive; }
    counted(counted const& o) : value(o.value) { ++alive; }
    ~counted() { --alive; }
};
}  // namespace

TEST("two objects keep two values in one task, and each task its own") {
    world w;
    loop l(w.options());
    task_local<int> a(1), b(2);
    *a = 10;
    std::vector<int> seen;
    for (int i = 0; i != 3; ++i)
        spawn([&, i] {
            seen.push_back(*a);
            *a = 100 + i;
            *b = 200 + i;
            static_cast<void>(yield());
            CHECK_EQ(*a, 100 + i);
            CHECK_EQ(*b, 200 + i);
        });
    CHECK(l.run().ok());
    CHECK_EQ(seen, (std::vector<int>{1, 1, 1}));
    CHECK_EQ(*a, 10);   // plain code has its own
    CHECK_EQ(*b, 2);
}

TEST("a task's values die with it, the latest first, before those who join it go on") {
    world w;
    loop l(w.options());
    std::string order;
    struct noted {
        std::string* to = nullptr;
        char name = ' ';
        noted() = default;
        noted& take(std::string* s, char n) { return to = s, name = n, *this; }
        ~noted() {
            if (to) *to += name;
        }
    };
    task_local<noted> a, b, c;
    auto t = spawn([&] {
        a->take(&order, 'a');
        b->take(&order, 'b');
        c->take(&order, 'c');
    });
    auto after = spawn([&] {
        CHECK(t.join().ok());
        order += '|';
    });
    CHECK(l.run().ok());
    CHECK_EQ(order, std::string("cba|"));
    static_cast<void>(after);
}

TEST("a value's destructor may wait, and finds the other values that still are; it makes none anew") {
    world w;
    loop l(w.options());
    static task_local<int>* number;
    static task_local<std::string>* text;
    static std::string seen;
    struct sleepy {
        ~sleepy() {
            CHECK(sleep_for(1ms).ok());
            seen += std::to_string(**number);
            CHECK(text->get() == error(errc::closed));
        }
    };
    task_local<int> n;
    task_local<std::string> s;
    task_local<sleepy> z;
    number = &n, text = &s;
    spawn([&] {
        *n = 7;
        static_cast<void>(*z);
    });
    CHECK(l.run().ok());
    CHECK_EQ(seen, std::string("7"));
}

TEST("what is destroyed after a task's values makes none anew, whether there were any or not") {
    struct asks {
        task_local<counted>* of = nullptr;
        errc* found = nullptr;
        asks(task_local<counted>* o, errc* f) : of(o), found(f) {}
        asks(asks&& other) noexcept : of(std::exchange(other.of, nullptr)), found(other.found) {}
        asks& operator=(asks&&) = delete;
        ~asks() {
            if (!of) return;
            auto const got = of->get();
            *found = got.ok() ? errc{} : static_cast<errc>(got.error().code());
        }
    };
    for (bool const had_one : {false, true}) {
        errc found{};
        world w;
        {
            loop l(w.options());
            task_local<counted> value;
            spawn([&]() -> asks {
                if (had_one) CHECK(value.get().ok());
                return asks(&value, &found);
            });   // nobody takes the outcome: it goes with the task, on its stack
            CHECK(l.run().ok());
            CHECK_EQ(found, errc::closed);
        }
        CHECK_EQ(counted::alive, 0);
    }
}

TEST("reset() destroys the caller's value and tells whether there was one") {
    world w;
    loop l(w.options());
    task_local<counted> a;
    CHECK(!a.reset());
    a->value = 3;
    CHECK_EQ(counted::alive, 1);
    CHECK(a.reset());
    CHECK(!a.reset());
    CHECK_EQ(counted::alive, 0);
    CHECK_EQ(a->value, 0);
}

TEST("an object that dies takes its value in the task along, and leaves the others' to them") {
    world w;
    loop l(w.options());
    auto shared = std::make_unique<task_local<counted>>();
    event go;
    spawn([&] {
        static_cast<void>(**shared);
        CHECK(go.wait().ok());
    });
    spawn([&] {
        static_cast<void>(**shared);
        CHECK_EQ(counted::alive, 2);
        shared.reset();
        CHECK_EQ(counted::alive, 1);
        task_local<counted> other;   // perhaps at the same address: another object nevertheless
        CHECK_EQ(other->value, 0);
        CHECK_EQ(counted::alive, 2);
        go.set();
    });
    CHECK(l.run().ok());
    CHECK_EQ(counted::alive, 0);
}

TEST("tasks that are canceled before they begin, while they wait, or by destroy() keep no value") {
    world w;
    {
        task_local<counted> a;
        loop l(w.options());
        auto never_run = spawn([&] { static_cast<void>(*a); });
        never_run.cancel();
        auto waiting = spawn([&] {
            static_cast<void>(*a);
            static_cast<void>(sleep_for(1h));
        });
        auto left = spawn([&] {
            static_cast<void>(*a);
            static_cast<void>(sleep_for(1h));
        });
        static_cast<void>(*a);   // plain code's goes with the loop
        CHECK(l.run_until([&] { return counted::alive == 3; }, in(1s)).ok());
        waiting.cancel();
        CHECK(l.run_until(waiting, in(1s)).ok());
        CHECK_EQ(counted::alive, 2);
        CHECK(l.destroy(in(1s)).ok());
        CHECK_EQ(counted::alive, 0);
    }
}

TEST("tasks of two loops use one object, each its own value") {
    static task_local<long> mine(5);
    std::atomic<int> right{0};
    auto const work = [&](long with) {
        static_cast<void>(run([&] {
            for (int i = 0; i != 1000; ++i) {
                *mine += with;
                static_cast<void>(yield());
            }
            if (*mine == 5 + 1000 * with) ++right;
        }));
    };
    std::thread other([&] { work(2); });
    work(3);
    other.join();
    CHECK_EQ(right.load(), 2);
    std::thread no_loop([&] { right += mine.get() == error(errc::no_loop) ? 1 : 0; });
    no_loop.join();
    CHECK_EQ(right.load(), 3);
}

TEST("values that cannot be copied, or are aligned beyond the heap's promise, are kept as they are") {
    world w;
    loop l(w.options());
    struct alignas(256) wide {
        char c = 'w';
    };
    task_local<std::unique_ptr<int>> p;
    task_local<wide> v;
    spawn([&] {
        CHECK(!*p);
        *p = std::make_unique<int>(4);
        CHECK_EQ(reinterpret_cast<std::uintptr_t>(&*v) % 256, 0u);
        CHECK_EQ(**p, 4);
        CHECK_EQ(v->c, 'w');
    });
    CHECK(l.run().ok());
}

TEST("no memory for a value is an error, and the next get() tries again") {
    world w;
    struct stingy {
        bool refuses = false;
        long blocks = 0;
    } heap;
    loop_options options = w.options();
    options.memory = {[](void* c, std::size_t bytes, std::size_t alignment) noexcept -> void* {
                          auto& h = *static_cast<stingy*>(c);
                          if (h.refuses) return nullptr;
                          ++h.blocks;
                          return ::operator new(bytes, std::align_val_t(alignment), std::nothrow);
                      },
                      [](void* c, void* block, std::size_t, std::size_t alignment) noexcept {
                          --static_cast<stingy*>(c)->blocks;
                          ::operator delete(block, std::align_val_t(alignment));
                      },
                      &heap};
    {
        loop l(options);
        task_local<int> a(9);
        bool refused = false;
        spawn([&] {
            heap.refuses = true;
            refused = a.get() == error(errc::no_memory);
            heap.refuses = false;
            CHECK_EQ(*a, 9);
        });
        CHECK(l.run().ok());
        CHECK(refused);
    }
    CHECK_EQ(heap.blocks, 0L);
}

TEST("the values of a task that destroy() abandons are never destroyed") {
    world w;
    loop l(w.options());
    static task_local<counted> local;   // its stack's values outlive the test
    spawn([] {
        local->value = 7;
        for (;;) {
            cancel_shield deaf;
            static_cast<void>(sleep_for(1h));
        }
    });
    spawn([] {
        local->value = 8;
        static_cast<void>(sleep_for(1h));
    });
    CHECK(l.run_once(in(0s)).ok());
    CHECK_EQ(counted::alive, 2);
    CHECK(l.destroy(in(1ms)) == errc::tasks_left);
    CHECK_EQ(counted::alive, 1);
    // The stack is abandoned on purpose, which the balances would count.
    harness::pass();
}

#if SPRUCE_THROWS
TEST("what a value's constructor throws passes through, and there is no value then") {
    world w;
    loop l(w.options());
    struct moody {
        static int tries() {
            static int n = 0;
            return n++;
        }
        int value = 1;
        moody() {
            if (tries() == 0) throw std::runtime_error("not yet");
        }
    };
    task_local<moody> m;
    spawn([&] {
        bool thrown = false;
        try {
            static_cast<void>(m.get());
        } catch (std::runtime_error const&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK_EQ(m->value, 1);
    });
    CHECK(l.run().ok());
}
#endif
