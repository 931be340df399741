#include "ticker.hpp"

#include <cerrno>
#include <csignal>
#include <new>
#include <pthread.h>

#include <spruce/memory.hpp>

#include "fork_mark.hpp"
#include "thread_gate.hpp"

namespace spruce { inline namespace v0 { namespace detail {

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
void* run(void* at) {
    auto& t = *static_cast<ticker*>(at);
    ::pthread_mutex_lock(&t.lock);
    while (!t.stopped) {
        timespec const until = condition_deadline(t.period_ns);
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

}}}  // namespace spruce::v0::detail
