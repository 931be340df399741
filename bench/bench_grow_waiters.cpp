// How the cost of a wait grows with the number of those who wait for the same thing, 1 to 10,000: a mutex handed on, a permit
// given, an event set for all, a value sent to one of n receivers, a condition that all are told of, a future that all wait
// for; per waiter that is woken. And one of n who leaves the queue from within, canceled, whom another replaces at its
// end. Flat but for the caches, as a yield is.
#include <spruce/spruce.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"

namespace {
long woken;

// n tasks that run `waiter`, which waits and counts until the end; in rounds, `wake` wakes each of them once.
struct subject {
    std::string name;
    long n;
    measure::effort const& e;
};
template <class Prepare, class Waiter, class Wake, class End>
void race(subject const& s, Prepare prepare, Waiter waiter, Wake wake, End end) {
    spruce::loop hub;
    spruce::spawn([&] {
        prepare();
        for (long i = 0; i < s.n; ++i) spruce::spawn([&] { waiter(); });
        static_cast<void>(spruce::yield());   // all wait
        measure::contest all("grow_waiters_" + s.name + "_" + std::to_string(s.n));
        all.enter("spruce", [&] {
            long const rounds = s.e.of(300'000) / s.n + 1;
            std::int64_t const begin = measure::cpu_ns();
            for (long i = 0; i < rounds; ++i) {
                woken = 0;
                wake();
                while (woken < s.n) static_cast<void>(spruce::yield());
            }
            return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(rounds * s.n);
        });
        all.run(s.e);
        end();
    });
    static_cast<void>(hub.run());
}
void nothing() {}

void mutex(long n, measure::effort const& e) {
    spruce::mutex m;
    spruce::result<spruce::mutex::guard> held = spruce::errc::closed;
    bool over = false;
    race({"mutex", n, e}, [&] { held = m.lock(); }, [&] {
        while (!over) {
            auto const mine = m.lock();
            ++woken;
        }
    }, [&] {   // back to the end of the queue, behind all of them
        held->unlock();
        held = m.lock();
    }, [&] {
        over = true;
        held->unlock();
    });
}
void semaphore(long n, measure::effort const& e) {
    spruce::semaphore permits(0);
    bool over = false;
    auto const give = [&] { static_cast<void>(permits.release(static_cast<std::size_t>(n))); };
    race({"semaphore", n, e}, nothing, [&] {
        while (!over) {
            permits.acquire()->keep();
            ++woken;
        }
    }, give, [&] {
        over = true;
        give();
    });
}
void event(long n, measure::effort const& e) {
    spruce::event happened;
    bool over = false;
    auto const set = [&] {
        happened.set();
        happened.clear();
    };
    race({"event", n, e}, nothing, [&] {
        while (!over) {
            static_cast<void>(happened.wait());
            ++woken;
        }
    }, set, [&] {
        over = true;
        set();
    });
}
void channel(long n, measure::effort const& e) {
    spruce::channel<long> values;
    race({"channel", n, e}, nothing, [&] {
        while (values.receive()) ++woken;
    }, [&] {
        for (long i = 0; i < n; ++i) static_cast<void>(values.try_send(static_cast<long>(i)));
    }, [&] { values.close(); });
}
void condition(long n, measure::effort const& e) {
    spruce::mutex m;
    spruce::condition_variable changed;
    bool over = false;
    race({"condition", n, e}, nothing, [&] {
        auto held = m.lock();
        while (!over) {
            static_cast<void>(changed.wait(*held));
            ++woken;
        }
    }, [&] { changed.notify_all(); }, [&] {
        over = true;
        changed.notify_all();
    });
}
void future(long n, measure::effort const& e) {
    std::optional<spruce::promise<long>> current;   // a promise belongs to the loop that is there when it is made
    bool over = false;
    auto const set = [&] {   // who is woken waits for the next one
        auto before = std::exchange(*current, spruce::promise<long>());
        static_cast<void>(before.set(1));
    };
    race({"future", n, e}, [&] { current.emplace(); }, [&] {
        while (!over) {
            static_cast<void>(current->get_future().get());
            ++woken;
        }
    }, set, [&] {
        over = true;
        set();
        static_cast<void>(spruce::yield());
        current.reset();
    });
}
void leaving(long n, measure::effort const& e) {
    spruce::loop hub;
    spruce::semaphore permits(0);
    spruce::spawn([&] {
        auto const join_queue = [&] { return spruce::spawn([&] { static_cast<void>(permits.acquire()); }); };
        std::vector<spruce::task<void>> queue;
        for (long i = 0; i < n; ++i) queue.push_back(join_queue());
        static_cast<void>(spruce::yield());
        measure::numbers random;
        measure::contest all("grow_waiters_leaving_" + std::to_string(n));
        all.enter("spruce", [&] {
            long const operations = e.of(200'000);
            std::int64_t const begin = measure::cpu_ns();
            for (long i = 0; i < operations; ++i) {
                auto& one = queue[random.below(static_cast<std::uint32_t>(n))];
                one.cancel();
                one = join_queue();
                static_cast<void>(spruce::yield());
            }
            return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(operations);
        });
        all.run(e);
        for (auto& one : queue) one.cancel();
    });
    static_cast<void>(hub.run());
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort e(count, arguments);
    e.rounds = std::min(e.rounds, 7);
    for (auto* const one : {mutex, semaphore, event, channel, condition, future, leaving})
        for (long n = 1; n <= 10'000; n *= 10) one(n, e);
}
