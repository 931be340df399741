#include "thread_gate.hpp"

#include <ctime>

namespace spruce { inline namespace v0 { namespace detail {

namespace {
#if defined(__APPLE__)
constexpr clockid_t clock_id = CLOCK_REALTIME;   // the one that its condition variables know
#else
constexpr clockid_t clock_id = CLOCK_MONOTONIC;
#endif
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t a_year_ns = 3'600 * 24 * 365 * second;   // what time_t has room for, also where it is short
}  // namespace

int make_condition(pthread_cond_t& c) noexcept {
#if defined(__APPLE__)
    return -::pthread_cond_init(&c, nullptr);
#else
    pthread_condattr_t monotonic;
    if (int const failed = ::pthread_condattr_init(&monotonic); failed != 0) return -failed;
    ::pthread_condattr_setclock(&monotonic, clock_id);
    int const failed = ::pthread_cond_init(&c, &monotonic);
    ::pthread_condattr_destroy(&monotonic);
    return -failed;
#endif
}

timespec condition_deadline(std::int64_t ns) noexcept {
    if (ns > a_year_ns) ns = a_year_ns;
    timespec until{};
    ::clock_gettime(clock_id, &until);
    std::int64_t const rest = until.tv_nsec + ns % second;
    until.tv_sec += static_cast<time_t>(ns / second + rest / second);
    until.tv_nsec = static_cast<long>(rest % second);
    return until;
}

void thread_gate::open() noexcept {
    // Signalled before it is unlocked: afterwards the gate may be gone.
    ::pthread_mutex_lock(&lock_);
    open_ = true;
    ::pthread_cond_signal(&opened_);
    ::pthread_mutex_unlock(&lock_);
}

bool thread_gate::wait(std::int64_t ns) noexcept {
    bool const for_ever = ns > a_year_ns;   // rather never than early
    timespec const until = for_ever ? timespec{} : condition_deadline(ns);
    ::pthread_mutex_lock(&lock_);
    int waited = 0;
    while (!open_ && waited == 0)
        waited = for_ever ? ::pthread_cond_wait(&opened_, &lock_) : ::pthread_cond_timedwait(&opened_, &lock_, &until);
    bool const through = open_;
    ::pthread_mutex_unlock(&lock_);
    return through;
}

}}}  // namespace spruce::v0::detail
