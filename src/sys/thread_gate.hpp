// What a thread waits at until another one lets it through, once.
#pragma once
#include <cstdint>
#include <pthread.h>

namespace spruce { inline namespace v0 { namespace detail {

// A condition variable whose waits end by the monotonic clock, where the system has that. 0, or -errno.
int make_condition(pthread_cond_t& c) noexcept;
// For such a wait: so many nanoseconds from now.
timespec condition_deadline(std::int64_t ns) noexcept;

class thread_gate {
public:
    thread_gate() noexcept : failed_(make_condition(opened_)) {}
    ~thread_gate() {
        if (failed_ == 0) ::pthread_cond_destroy(&opened_);
        ::pthread_mutex_destroy(&lock_);
    }
    thread_gate(thread_gate const&) = delete;
    thread_gate& operator=(thread_gate const&) = delete;

    // 0, or -errno; then it is not to be used.
    int status() const noexcept { return failed_; }
    // Whoever waits may end the gate as soon as it is through.
    void open() noexcept;
    // Until it is open. Returns: false if that took longer than `ns`; for ever if that is the largest number.
    bool wait(std::int64_t ns) noexcept;

private:
    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t opened_;
    int failed_;
    bool open_ = false;
};

}}}  // namespace spruce::v0::detail
