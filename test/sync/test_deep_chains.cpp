// Structures that users make may be as deep as they like: no walk of them takes stack for each step.
#include "virtual_tasks.hpp"

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

TEST("limits of limits of a future's time, so deep as you like, are dropped, cancelled and expire") {
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

TEST("futures that follow each other, so deep as you like, have their outcome, are cancelled, and end") {
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

TEST("calls that wait for calls, so deep as you like, are cancelled from the first") {
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
