#include "ticker.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <new>
#include <pthread.h>

#include <spruce/memory.hpp>

#include "fork_mark.hpp"

namespace spruce::inline v0::detail {

struct ticker {
    pthread_t thread{};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed;
    bool stopped = false;
    std::uint32_t mark = fork_mark();
    std::int64_t period_ns = 0;
    void (*tick)(void*) noexcept = nullptr;
    void* context = nullptr;
};

namespace {
#if defined(__APPLE__)
constexpr clockid_t clock_id = CLOCK_REALTIME;   // the one that its condition variables know
#else
constexpr clockid_t clock_id = CLOCK_MONOTONIC;
#endif

void* run(void* at) {
    auto& t = *static_cast<ticker*>(at);
    constexpr std::int64_t second = 1'000'000'000;
    ::pthread_mutex_lock(&t.lock);
    while (!t.stopped) {
        timespec until{};
        ::clock_gettime(clock_id, &until);
        std::int64_t const ns = until.tv_nsec + t.period_ns % second;
        until.tv_sec += static_cast<time_t>(t.period_ns / second + ns / second);
        until.tv_nsec = static_cast<long>(ns % second);
        int waited = 0;
        while (!t.stopped && waited == 0) waited = ::pthread_cond_timedwait(&t.changed, &t.lock, &until);
        if (t.stopped) break;
        ::pthread_mutex_unlock(&t.lock);
        t.tick(t.context);
        ::pthread_mutex_lock(&t.lock);
    }
    ::pthread_mutex_unlock(&t.lock);
    return nullptr;
}

void let_go(ticker* t) noexcept {
    t->~ticker();
    release({}, t, sizeof(ticker), alignof(ticker));
}

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
}  // namespace

int start_ticker(std::int64_t period_ns, void (*tick)(void*) noexcept, void* context, ticker** out) noexcept {
    void* const room = allocate({}, sizeof(ticker), alignof(ticker));
    if (!room) return -ENOMEM;
    auto* const t = ::new (room) ticker;
    if (int const failed = make_condition(t->changed); failed != 0) {
        let_go(t);
        return failed;
    }
    t->period_ns = period_ns;
    t->tick = tick;
    t->context = context;
    // The new thread has its creator's mask: signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int const failed = ::pthread_create(&t->thread, nullptr, run, t);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed != 0) {
        ::pthread_cond_destroy(&t->changed);
        let_go(t);
        return -failed;
    }
    *out = t;
    return 0;
}

bool stop_ticker(ticker* t) noexcept {
    if (fork_mark() == t->mark) {
        if (::pthread_equal(::pthread_self(), t->thread)) return false;
        ::pthread_mutex_lock(&t->lock);
        t->stopped = true;
        ::pthread_cond_signal(&t->changed);
        ::pthread_mutex_unlock(&t->lock);
        ::pthread_join(t->thread, nullptr);
        ::pthread_cond_destroy(&t->changed);
    }
    let_go(t);
    return true;
}

}  // namespace spruce::inline v0::detail
