// What every benchmark needs: one core, a clock, rounds that interleave, and lines `name value unit`.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace measure {

// Stays on the core it runs on, so that rounds meet the same caches.
inline void pin() noexcept {
#if defined(__linux__)
    cpu_set_t one;
    CPU_ZERO(&one);
    int const core = ::sched_getcpu();
    CPU_SET(static_cast<unsigned>(core < 0 ? 0 : core), &one);
    ::sched_setaffinity(0, sizeof one, &one);
#endif
}

// Puts this thread on the n-th of the cores the process may use (modulo their number).
inline void pin_to([[maybe_unused]] unsigned n) noexcept {
#if defined(__linux__)
    static cpu_set_t const allowed = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        ::sched_getaffinity(0, sizeof set, &set);
        return set;
    }();
    auto const cores = static_cast<unsigned>(CPU_COUNT(&allowed));
    n = cores ? n % cores : 0;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (!CPU_ISSET(core, &allowed) || n-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        return;
    }
#endif
}

inline std::int64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) noexcept {
    timespec t{};
    ::clock_gettime(clock, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
// The processor's time of this process: for all that one thread does, since others on its core take none of that.
inline std::int64_t cpu_ns() noexcept { return now_ns(CLOCK_PROCESS_CPUTIME_ID); }

// `brief` among the arguments: everything once and small, to see that it still works.
inline bool brief(int count, char** arguments) noexcept {
    for (int i = 1; i < count; ++i)
        if (std::strcmp(arguments[i], "brief") == 0) return true;
    return false;
}

// `quick` among them: fewer and shorter rounds, for a look that takes seconds.
inline bool quick(int count, char** arguments) noexcept {
    for (int i = 1; i < count; ++i)
        if (std::strcmp(arguments[i], "quick") == 0) return true;
    return false;
}

// How much of a benchmark to run: operations are divided, rounds are counted.
struct effort {
    effort(int count, char** arguments) noexcept {
        if (brief(count, arguments)) *this = effort(1, 1000);
        else if (quick(count, arguments)) *this = effort(3, 4);
    }
    long of(long operations, long least = 1) const noexcept { return std::max(operations / divisor, least); }
    int rounds = 9;
    long divisor = 1;

private:
    effort(int r, long d) noexcept : rounds(r), divisor(d) {}
};

// What one of so many has cost since then: by the processor's clock, and by the wall's.
inline double per(std::int64_t begin, long operations) noexcept {
    return static_cast<double>(cpu_ns() - begin) / static_cast<double>(operations);
}
inline double per_wall(std::int64_t begin, long operations) noexcept {
    return static_cast<double>(now_ns() - begin) / static_cast<double>(operations);
}

// Figures of one thing, a round each.
class figures {
public:
    void add(double value) { values_.push_back(value); }
    bool empty() const noexcept { return values_.empty(); }
    double minimum() const { return *std::min_element(values_.begin(), values_.end()); }
    double median() const {
        std::vector<double> sorted = values_;
        std::sort(sorted.begin(), sorted.end());
        std::size_t const n = sorted.size();
        return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    }

private:
    std::vector<double> values_;
};

inline void line(char const* name, char const* what, double value, char const* unit) {
    std::printf("%s_%s %.3f %s\n", name, what, value, unit);
    std::fflush(stdout);
}
inline void report(char const* name, char const* whose, figures const& f, char const* unit) {
    char what[64];
    std::snprintf(what, sizeof what, "%s_min", whose);
    line(name, what, f.minimum(), unit);
    std::snprintf(what, sizeof what, "%s_median", whose);
    line(name, what, f.median(), unit);
}

// Contenders for one piece of work: each gives what one operation of it cost in a round. Ours enters first. Rounds
// interleave, and each begins with another contender, so that none always follows the same one; printed are the minimum
// and the median of each, and the ratios of the minima, ours to the other's.
class contest {
public:
    explicit contest(std::string name, char const* unit = "ns") : name_(std::move(name)), unit_(unit) {}
    void enter(char const* whose, std::function<double()> round) { all_.push_back({whose, std::move(round), {}}); }
    void run(effort const& e) {
        for (contender& c : all_) c.round();   // caches, pools and predictors fill
        for (std::size_t i = 0; i < static_cast<std::size_t>(e.rounds); ++i)
            for (std::size_t j = 0; j < all_.size(); ++j) {
                contender& c = all_[(i + j) % all_.size()];
                c.values.add(c.round());
            }
        for (contender const& c : all_) report(name_.c_str(), c.whose, c.values, unit_);
        for (contender const& c : all_)
            if (&c != &all_.front())
                line(name_.c_str(), (std::string("spruce_to_") + c.whose).c_str(), all_.front().values.minimum() / c.values.minimum(), "ratio");
    }

private:
    struct contender {
        char const* whose;
        std::function<double()> round;
        figures values;
    };
    std::string name_;
    char const* unit_;
    std::vector<contender> all_;
};

// Memory that can be had without driving anything out, in bytes; where that is not told, plenty.
inline std::uint64_t available_bytes() noexcept {
    std::uint64_t kib = std::uint64_t{1} << 40;
    if (std::FILE* const told = std::fopen("/proc/meminfo", "r")) {
        char text[128];
        unsigned long long value = 0;
        while (std::fgets(text, sizeof text, told))
            if (std::sscanf(text, "MemAvailable: %llu", &value) == 1) kib = value;
        std::fclose(told);
    }
    return kib * 1024;
}

// Keeps a value, and what led to it, from being optimised away.
template <class T> void keep(T const& value) noexcept { asm volatile("" : : "g"(&value) : "memory"); }

// A stream of pseudo-random numbers, cheap beside what is measured.
class numbers {
public:
    std::uint32_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::uint32_t>(state_ >> 16);
    }
    std::uint32_t below(std::uint32_t n) noexcept {
        return static_cast<std::uint32_t>(static_cast<std::uint64_t>(next()) * n >> 32);
    }

private:
    std::uint64_t state_ = 0x2545f4914f6cdd1d;
};

}  // namespace measure
