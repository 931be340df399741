// How the cost of one element grows with the length of the line, queue or chain it is in, 10 to 10,000: what a list that is
// walked for one of its elements would make grow. Per element; flat but for the caches, as a yield is.
#include <spruce/spruce.hpp>

#include <csignal>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "measure.hpp"

namespace {
using namespace spruce;
constexpr std::size_t small_stack = 16 << 10;

// Rounds of n elements each, in a task: `once` does one, and gives the nanoseconds of what counts.
void row(char const* what, long n, measure::effort const& e, std::function<double(loop&)> const& once) {
    loop hub;
    spawn([&] {
        measure::contest all("grow_line_" + std::string(what) + "_" + std::to_string(n));
        all.enter("spruce", [&] {
            long const rounds = e.of(100'000) / n + 1;
            double sum = 0;
            for (long i = 0; i < rounds; ++i) sum += once(hub);
            return sum / static_cast<double>(rounds * n);
        });
        all.run(e);
    });
    static_cast<void>(hub.run());
}
template <class F> double took(F&& f) {
    std::int64_t const begin = measure::cpu_ns();
    f();
    return static_cast<double>(measure::cpu_ns() - begin);
}
std::size_t size_of(long n) { return static_cast<std::size_t>(n); }

void mailbox_drain(long n, measure::effort const& e) {
    row("mailbox_receive", n, e, [n](loop&) {
        mailbox<long> box(size_of(n));
        for (long i = 0; i < n; ++i) static_cast<void>(box.send({"a", i}));
        return took([&] {
            for (long i = 0; i < n; ++i) static_cast<void>(box.receive({.accept = {"a"}}));
        });
    });
}
void mailbox_selective(long n, measure::effort const& e) {
    row("mailbox_selective", n, e, [n](loop&) {
        mailbox<long> box(2 * size_of(n));
        for (long i = 0; i < n; ++i) static_cast<void>(box.send({"later", i}));
        for (long i = 0; i < n; ++i) static_cast<void>(box.send({"now", i}));
        return took([&] {
            for (long i = 0; i < n; ++i) {
                static_cast<void>(box.receive({.accept = {"now"}, .defer = {"later"}}));
                static_cast<void>(box.receive({.accept = {"later"}, .defer = {"now"}}));
            }
        }) / 2;
    });
}
void mailbox_past(long n, measure::effort const& e) {
    row("mailbox_past_deferred", n, e, [n](loop&) {
        mailbox<long> box(2 * size_of(n));
        auto receiver = spawn([&] {
            for (long i = 0; i < n; ++i) static_cast<void>(box.receive({.accept = {"now"}, .defer = {"later"}}));
        });
        static_cast<void>(yield());
        for (long i = 0; i < n; ++i) static_cast<void>(box.send({"later", i}));
        double const all = took([&] {
            for (long i = 0; i < n; ++i) static_cast<void>(box.send({"now", i}));
        });
        static_cast<void>(receiver.join());
        return all;
    });
}
void group_failing(long n, measure::effort const& e) {
    row("group_failing", n, e, [n](loop& hub) {
        hub.on_unhandled([](unhandled const&) {});
        event go;
        task_group g(on_error::cancel_rest);
        for (long i = 0; i < n; ++i)
            static_cast<void>(g.spawn({.stack_size = small_stack}, [&]() -> result<void> {
                static_cast<void>(go.wait());
                return errc::full;
            }));
        static_cast<void>(yield());
        return took([&] {
            go.set();
            static_cast<void>(g.join());
        });
    });
}
void calls(long n, measure::effort const& e) {
    row("synchronized_calls", n, e, [n](loop&) {
        async_function<long()> f([] {
            static_cast<void>(yield());
            return 1L;
        }, {.policy = call_policy::synchronized});
        std::vector<future<long>> all;
        return took([&] {
            for (long i = 0; i < n; ++i) all.push_back(f());
            for (auto& one : all) static_cast<void>(one.get());
        });
    });
}
void wait_all_semaphore(long n, measure::effort const& e) {
    row("wait_all_semaphore", n, e, [n](loop&) {
        semaphore permits(0), others(size_of(n));
        task_group g;
        for (long i = 0; i < n; ++i)
            static_cast<void>(g.spawn({.stack_size = small_stack}, [&] {
                auto both = wait_all(permits, others);
                std::get<0>(*both)->keep();
            }));
        static_cast<void>(yield());
        double const all = took([&] {
            for (long i = 0; i < n; ++i) {
                static_cast<void>(permits.release());
                static_cast<void>(yield());
            }
        });
        static_cast<void>(g.join());
        return all;
    });
}
void beside_crowd(long n, measure::effort const& e) {
    row("channel_beside_wait_alls", n, e, [n](loop&) {
        channel<long> values(1);
        event never_set;
        task_group g;
        for (long i = 0; i < n; ++i)
            static_cast<void>(g.spawn({.stack_size = small_stack}, [&] { static_cast<void>(wait_all(values, never_set)); }));
        static_cast<void>(yield());
        double const all = took([&] {
            for (long i = 0; i < n; ++i) {
                static_cast<void>(values.try_send(long(i)));
                static_cast<void>(values.try_receive());
            }
        });
        g.cancel();
        static_cast<void>(g.join());
        return all;
    });
}
void emitter_watched(long n, measure::effort const& e) {
    row("emitter_watched", n, e, [n](loop&) {
        emitter<long> source(size_of(n));
        auto const watch = source.on_change([](connection_change const&) {});
        std::vector<connection> all;
        all.reserve(size_of(n));
        return took([&] {
            for (long i = 0; i < n; ++i) all.push_back(source.connect([](long) {}));
            all.clear();
        });
    });
}
void signals_behind(long n, measure::effort const& e) {
    row("signal_handlers_behind", n, e, [n](loop& hub) {
        for (long i = 0; i < n; ++i) static_cast<void>(hub.add_signal_handler(SIGUSR1, [] {}));
        double const all = took([&] {
            for (long i = 0; i < n; ++i) static_cast<void>(hub.add_signal_handler(SIGUSR2, [] {}));
            hub.remove_signal_handlers(SIGUSR2);
        });
        hub.remove_signal_handlers(SIGUSR1);
        return all;
    });
}
void follow(long n, measure::effort const& e) {
    row("follow_chain", n, e, [n](loop&) {
        std::vector<promise<long>> all(size_of(n));
        std::vector<future<long>> futures;
        for (auto& p : all) futures.push_back(p.get_future());
        return took([&] {
            for (std::size_t i = 1; i < all.size(); ++i) static_cast<void>(all[i].follow(futures[i - 1]));
            static_cast<void>(all[0].set(1));
            for (auto& f : futures) static_cast<void>(f.get());
        });
    });
}
void run_now_among(long n, measure::effort const& e) {
    row("run_now_among", n, e, [n](loop&) {
        std::vector<task<void>> all;
        for (long i = 0; i < n; ++i) all.push_back(spawn({.stack_size = small_stack}, [] {}));
        measure::numbers random;
        for (std::size_t i = all.size(); i-- > 1;) std::swap(all[i], all[random.below(static_cast<std::uint32_t>(i + 1))]);
        return took([&] {
            for (auto& t : all) static_cast<void>(run_now(t));
        });
    });
}
void pool_join(long n, measure::effort const& e) {
    row("pool_join_beside", n, e, [n](loop&) {
        task_pool pool(size_of(n), {.bound = size_of(n)});
        event over;
        for (long i = 0; i < n; ++i) static_cast<void>(pool.submit([&] { static_cast<void>(over.wait()); }));
        static_cast<void>(yield());
        double const all = took([&] {
            for (long i = 0; i < n; ++i) static_cast<void>(pool.join(in(duration::zero())));
        });
        over.set();
        static_cast<void>(pool.join());
        return all;
    });
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort e(count, arguments);
    e.rounds = std::min(e.rounds, 5);
    for (auto* const one : {mailbox_drain, mailbox_selective, mailbox_past, group_failing, calls, wait_all_semaphore, beside_crowd,
                            emitter_watched, signals_behind, follow, run_now_among, pool_join})
        for (long n = 10; n <= (e.rounds == 1 ? 100 : 10'000); n *= 10) one(n, e);
}
