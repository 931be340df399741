// What parked tasks cost: resident bytes with page tables, and the processor time to make one on memory that was never
// used and to park it. Each run is a process of its own. Ours with the default stack and with 16 K, guarded, and with one of
// 2 K in huge pages that is not, beside the floor, the bytes that one bare stack touches, and boost.fiber, whose stacks have no
// guard.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include <cstdio>
#include <mutex>

#include "child.hpp"
#include "resident.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

#if defined(__linux__)
#include <sys/mman.h>

namespace {
struct outcome {
    double bytes, ns;   // of each
};
class stopwatch {
public:
    explicit stopwatch(long count) : count_(static_cast<double>(count)), bytes_(measure::resident_bytes()), begin_(measure::cpu_ns()) {}
    void stop(measure::teller const& tell) const {
        double const ns = static_cast<double>(measure::cpu_ns() - begin_) / count_;
        tell((measure::resident_bytes() - bytes_) / count_);
        tell(ns);
        std::fflush(stdout);
        std::_Exit(0);   // nobody wants to see them end
    }

private:
    double count_, bytes_;
    std::int64_t begin_;
};

template <class F> outcome in_a_process(F const& body) {
    measure::child const c(body);
    double const bytes = c.told();
    return {bytes, c.told()};
}

outcome spruce_parks(long count, spruce::task_options const& how) {
    return in_a_process([=](measure::teller const& tell) {
        spruce::loop hub;
        spruce::event never;
        stopwatch const watch(count);
        long parked = 0;
        for (long i = 0; i < count; ++i)
            spruce::spawn(how, [&] {
                ++parked;
                static_cast<void>(never.wait());
            });
        static_cast<void>(hub.run_until([&] { return parked == count; }));
        watch.stop(tell);
    });
}

// Not a task: as many places of 2 K in huge pages, each touched.
outcome floor_parks_bare(long count) {
    return in_a_process([=](measure::teller const& tell) {
        stopwatch const watch(count);
        constexpr std::size_t each = 2048, huge = std::size_t{2} << 20;
        std::size_t const all = each * static_cast<std::size_t>(count) + huge;
        auto* at = static_cast<char*>(::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (at == MAP_FAILED) std::_Exit(3);
        at += (huge - reinterpret_cast<std::uintptr_t>(at) % huge) % huge;
        ::madvise(at, all - huge, MADV_HUGEPAGE);
        for (long i = 0; i < count; ++i) at[static_cast<std::size_t>(i + 1) * each - 8] = 1;
        watch.stop(tell);
    });
}

// Not a task: as many guarded places, of which the last page is touched.
outcome floor_parks(long count, std::size_t stack) {
    return in_a_process([=](measure::teller const& tell) {
        constexpr std::size_t guard = 16384;
        stopwatch const watch(count);
        std::size_t const each = stack + guard, all = each * static_cast<std::size_t>(count);
        auto* const at = static_cast<char*>(::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (at == MAP_FAILED) std::_Exit(3);
        ::madvise(at, all, MADV_NOHUGEPAGE);
        for (long i = 0; i < count; ++i) {
            char* const place = at + static_cast<std::size_t>(i) * each;
            ::madvise(place, guard, 102);   // MADV_GUARD_INSTALL
            place[each - 8] = 1;
        }
        watch.stop(tell);
    });
}

#ifdef HAVE_BOOST_FIBER
outcome boost_parks(long count, std::size_t stack) {
    return in_a_process([=](measure::teller const& tell) {
        boost::fibers::mutex lock;
        boost::fibers::condition_variable never;
        long parked = 0;
        stopwatch const watch(count);
        auto const wait = [&] {
            ++parked;
            std::unique_lock held(lock);
            never.wait(held);
        };
        for (long i = 0; i < count; ++i) {
            if (stack == 0) boost::fibers::fiber(wait).detach();
            else boost::fibers::fiber(std::allocator_arg, boost::fibers::fixedsize_stack(stack), wait).detach();
        }
        while (parked != count) boost::this_fiber::yield();
        watch.stop(tell);
    });
}
#endif

void race(char const* name, char const* unit, double outcome::* figure, std::size_t stack, long count, measure::effort const& e) {
    measure::contest all(name, unit);
    all.enter("spruce", [=] { return spruce_parks(count, {.stack_size = stack}).*figure; });
    all.enter("floor", [=] { return floor_parks(count, stack ? stack : std::size_t{256} << 10).*figure; });
#ifdef HAVE_BOOST_FIBER
    all.enter("boost.fiber", [=] { return boost_parks(count, stack).*figure; });
#endif
    all.run(e);
}
void race_bare(char const* name, char const* unit, double outcome::* figure, long count, measure::effort const& e) {
    measure::contest all(name, unit);
    all.enter("spruce", [=] { return spruce_parks(count, {.stack_size = 2048, .unguarded = true}).*figure; });
    all.enter("floor", [=] { return floor_parks_bare(count).*figure; });
#ifdef HAVE_BOOST_FIBER
    all.enter("boost.fiber", [=] { return boost_parks(count, 16384).*figure; });
#endif
    all.run(e);
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort e(count, arguments);
    race("fresh_spawn", "ns", &outcome::ns, 0, e.of(100'000, 500), e);
    race_bare("fresh_unguarded", "ns", &outcome::ns, e.of(100'000, 500), e);
    // Bytes hardly differ from one run to the next.
    e.rounds = e.rounds > 2 ? 2 : e.rounds;
    race("parked", "bytes", &outcome::bytes, 0, e.of(100'000, 1'000), e);
    race("parked_16k", "bytes", &outcome::bytes, 16384, e.of(100'000, 1'000), e);
    race_bare("parked_unguarded", "bytes", &outcome::bytes, e.of(100'000, 1'000), e);
}
#else
int main() {}
#endif
