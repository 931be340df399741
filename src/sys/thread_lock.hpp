// A lock among threads, held for a few instructions only.
#pragma once
#include <pthread.h>

namespace spruce { inline namespace v0 { namespace detail {

class thread_lock {
public:
    thread_lock() noexcept = default;
    ~thread_lock() { ::pthread_mutex_destroy(&lock_); }
    thread_lock(thread_lock const&) = delete;
    thread_lock& operator=(thread_lock const&) = delete;
    void lock() noexcept { ::pthread_mutex_lock(&lock_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&lock_); }

private:
    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
};

}}}  // namespace spruce::v0::detail
