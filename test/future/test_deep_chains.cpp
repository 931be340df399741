// Structures that users make may be as deep as they like: no walk of them takes stack for each step.
#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr int depth = 200'000;

// In a task with the smallest guarded stack.
template <class F> void on_a_small_stack(F f) {
    loop_options o;
    o.max_timers = 2'000'000;
    auto r = run_virtually([&]() -> result<void> {
        return spawn({.stack_size = 16 * 1024}, [&] { f(); }).get();
    }, o);
    CHECK(r.ok());
}
}  // namespace

TEST("when_all of when_all, so deep as you like, has its outcome, is looked at, and ends") {
    on_a_small_stack([] {
        promise<void> p;
        future<void> all = p.get_future();
        for (int i = 0; i != depth; ++i) {
            promise<void> next;
            CHECK(next.set().ok());
            future<void> both[] = {all, next.get_future()};
            all = when_all(std::span(both));
        }
        CHECK(p.fail(errc::broken).ok());
        CHECK_EQ(ending_of(all.get()), errc::broken);
        CHECK(all.failed());
    });
}

TEST("when_all of one future twice, again and again, is looked at once for each") {
    on_a_small_stack([] {
        promise<void> p;
        future<void> all = p.get_future();
        for (int i = 0; i != 200; ++i) {
            future<void> both[] = {all, all};
            all = when_all(std::span(both));
        }
        CHECK(p.fail(errc::broken).ok());
        CHECK_EQ(ending_of(all.get()), errc::broken);
    });
}

TEST("limits of limits of a future's time, so deep as you like, are dropped, canceled and expire") {
    for (int const how : {0, 1, 2}) {
        on_a_small_stack([how] {
            promise<int> p;
            future<int> last = time_limit(p.get_future(), in(1h));
            for (int i = 0; i != depth / 4; ++i) {
                promise<int> next;
                future<int> limited = time_limit(next.get_future(), in(1h));
                CHECK(p.follow(std::move(limited)).ok());
                p = std::move(next);
            }
            if (how == 0) last = {};
            if (how == 1) CHECK(last.cancel());
            if (how == 2) CHECK_EQ(ending_of(last.get()), errc::timed_out);
            settle();
        });
    }
}

namespace {
struct node {
    future<node> next;
    int* ended;
    explicit node(int* n) : ended(n) {}
    node(node&& o) noexcept : next(std::move(o.next)), ended(std::exchange(o.ended, nullptr)) {}
    ~node() {
        if (ended) ++*ended;
    }
};
}  // namespace

TEST("a list of futures, each the value of the one before, ends without a frame for each") {
    on_a_small_stack([] {
        int ended = 0;
        {
            future<node> first;
            for (int i = 0; i != depth; ++i) {
                node n(&ended);
                n.next = std::move(first);
                promise<node> p;
                CHECK(p.set(std::move(n)).ok());
                first = p.get_future();
            }
        }
        CHECK_EQ(ended, depth);
    });
}

TEST("futures that follow each other, so deep as you like, have their outcome, are canceled, and end") {
    for (bool const cancels : {false, true}) {
        on_a_small_stack([cancels] {
            promise<int> p;
            future<int> last = p.get_future();
            for (int i = 0; i != depth; ++i) {
                promise<int> next;
                CHECK(p.follow(next.get_future()).ok());
                p = std::move(next);
            }
            if (cancels) CHECK(p.on_cancel([] {}).active());
            if (!cancels) CHECK(p.set(7).ok());
            CHECK_EQ(last.cancel(), cancels);
            CHECK_EQ(ending_of(last.get()), cancels ? errc::task_canceled : errc{});
        });
    }
}

TEST("calls that wait for calls, so deep as you like, are canceled from the first") {
    on_a_small_stack([] {
        promise<void> p;
        int woken = 0;
        future<void> before = p.get_future();
        for (int i = 0; i != 2'000; ++i) before = async_function([&woken, before]() mutable { static_cast<void>(before.wait()), ++woken; })();
        CHECK(before.cancel());
        CHECK(before.wait().ok());
        settle();
        CHECK_EQ(woken, 2'000);
    });
}

TEST("emitters that forward to each other, so many as you like, emit to the last, and a false there is false here") {
    for (bool const with_others : {false, true}) {
        on_a_small_stack([with_others] {
            std::vector<std::unique_ptr<emitter<int>>> chain;
            std::vector<connection> kept;
            int called = 0, sum = 0;
            for (int i = 0; i != depth; ++i) {
                chain.push_back(std::make_unique<emitter<int>>());
                if (i == 0) continue;
                kept.push_back(chain[static_cast<std::size_t>(i) - 1]->forward_to(*chain.back()));
                if (with_others) kept.push_back(chain[static_cast<std::size_t>(i) - 1]->connect([&](int) { ++called; }));
            }
            bool inside = true;
            kept.push_back(chain.back()->connect([&](int n) {
                sum += n;
                if (std::exchange(inside, false)) CHECK(!chain[chain.size() - 3]->emit(10));   // the way is in use
                return false;
            }));
            CHECK(!chain.front()->emit(1));
            CHECK_EQ(sum, 11);
            CHECK_EQ(called, with_others ? depth - 1 + 2 : 0);
            CHECK(!chain.front()->emit(1));
            CHECK_EQ(sum, 12);
        });
    }
}

TEST("a chain of emitters may lose its links, and its emitters, while something is emitted along it") {
    auto r = run_virtually([]() -> result<void> {
        auto a = std::make_unique<emitter<int>>(), b = std::make_unique<emitter<int>>(), c = std::make_unique<emitter<int>>();
        int late = 0;
        connection first = a->forward_to(*b), second = b->forward_to(*c);
        connection const after_first = a->connect([&](int) { ++late; }), after_second = b->connect([&](int) { ++late; });
        connection const end = c->connect([&](int n) {
            if (n == 1) CHECK(first.disconnect());
            if (n == 2) second = {}, b.reset();
            if (n == 3) a.reset();
        });
        CHECK(a->emit(1));
        CHECK_EQ(late, 2);
        CHECK(a->emit(5));
        CHECK_EQ(late, 3);
        first = a->forward_to(*b);
        CHECK(a->emit(2));   // b is gone before its turn goes on
        CHECK_EQ(late, 4);
        first = a->forward_to(*c);
        CHECK(a->emit(3));
        CHECK_EQ(late, 5);   // it stands before the way on, by which a ends
        return {};
    });
    CHECK(r.ok());
}
