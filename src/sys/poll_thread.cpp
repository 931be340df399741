#include "poll_thread.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <new>
#include <pthread.h>

#include <spruce/memory.hpp>

#include "../base/text_line.hpp"
#include "fork_mark.hpp"
#include "thread_gate.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
// See the table in the header
enum class sleep_state : std::uint8_t { working, asleep, posting, posted, refused, ended };

constexpr std::int64_t first_pause_ns = 1'000'000, longest_pause_ns = 1'000'000'000;
constexpr std::int64_t pause_after_failure_ns = 10'000'000;   // of a wait that the kernel refuses
}  // namespace

struct poll_thread {
    explicit poll_thread(poll_thread_options const& o) noexcept : options(o), changed() {}
    poll_thread_options const options;
    std::atomic<std::uint32_t> references{1};
    std::uint32_t const mark = fork_mark();
    pthread_t thread{};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed;

    // -- behind the lock
    sleep_state state = sleep_state::working;
    std::int64_t timeout_ns = 0;
    bool pausing = false;                // the next sleep is one without the poller
    std::uint32_t number = 0;            // of the latest turn
    std::uint32_t copies = 0;            // of that turn, wherever they are
    errc misplaced{};                    // why it could not run where it was called, before post() came back
    std::int64_t pause_ns = first_pause_ns;
    post_failures failures{};
    int slept = 0;                       // how the latest sleep went
};

namespace {
class guard {
public:
    explicit guard(poll_thread& t) noexcept : t_(t) { ::pthread_mutex_lock(&t_.lock); }
    ~guard() { ::pthread_mutex_unlock(&t_.lock); }
    guard(guard const&) = delete;
    guard& operator=(guard const&) = delete;

private:
    poll_thread& t_;
};

void set_state(poll_thread& t, sleep_state s) noexcept {
    t.state = s;
    ::pthread_cond_signal(&t.changed);
}

void refuse(poll_thread& t, post_outcome const& how) noexcept {
    if (t.failures.count++ == 0) t.failures.first = how;
    set_state(t, sleep_state::refused);
}
post_outcome in_words(error why, char const* what) noexcept {
    post_outcome how{false, why};
    text_line(how.what, sizeof how.what).put(what).string();
    return how;
}
post_outcome dropped() noexcept { return in_words(errc::closed, "the host let go of a turn that it did not call"); }
post_outcome elsewhere(errc why) noexcept {
    return in_words(why, why == errc::wrong_thread ? "the host called a turn on a thread that is not the loop's"
                                                   : "the host called a turn inside a task or another run");
}

// With the lock: until the state is another one, or for so long. true: it is.
bool wait_for_change(poll_thread& t, std::int64_t ns) noexcept {
    sleep_state const was = t.state;
    timespec const until = condition_deadline(ns);
    int waited = 0;
    while (t.state == was && waited == 0) waited = ::pthread_cond_timedwait(&t.changed, &t.lock, &until);
    return t.state != was;
}

void sleep_once(poll_thread& t) noexcept {
    std::int64_t const timeout_ns = t.timeout_ns;
    bool pauses = t.pausing && timeout_ns != 0;
    if (!pauses && timeout_ns != 0) {
        ::pthread_mutex_unlock(&t.lock);
        int const failed = t.options.poller->sleep(t.options.poller_context, timeout_ns);
        ::pthread_mutex_lock(&t.lock);
        t.slept = failed == -EINTR ? 0 : failed;
        pauses = t.slept < 0;
    }
    // A poller that refuses must not make the host turn round and round.
    if (pauses && t.state == sleep_state::asleep)
        wait_for_change(t, timeout_ns > 0 && timeout_ns < pause_after_failure_ns ? timeout_ns : pause_after_failure_ns);
    if (t.state != sleep_state::asleep) return;
    ++t.number;
    t.copies = 0;
    t.state = sleep_state::posting;
}

void post_once(poll_thread& t) noexcept {
    std::uint32_t const number = t.number;
    t.misplaced = {};
    ::pthread_mutex_unlock(&t.lock);
    post_outcome how;
    t.options.post(t.options.context, number, how);
    ::pthread_mutex_lock(&t.lock);
    // The host may have called it meanwhile, and more may have come after.
    if (t.number != number || t.state != sleep_state::posting) return;
    if (!how.taken) refuse(t, how);
    else if (t.misplaced != errc{}) refuse(t, elsewhere(t.misplaced));
    else if (t.copies == 0) refuse(t, dropped());
    else t.state = sleep_state::posted;
}

void* run(void* at) {
    auto& t = *static_cast<poll_thread*>(at);
    ::pthread_mutex_lock(&t.lock);
    while (t.state != sleep_state::ended) {
        switch (t.state) {
        case sleep_state::asleep: sleep_once(t); break;
        case sleep_state::posting: post_once(t); break;
        case sleep_state::refused:
            if (wait_for_change(t, t.pause_ns)) break;
            t.pause_ns = t.pause_ns < longest_pause_ns / 2 ? t.pause_ns * 2 : longest_pause_ns;
            t.state = sleep_state::posting;
            break;
        default: ::pthread_cond_wait(&t.changed, &t.lock); break;
        }
    }
    ::pthread_mutex_unlock(&t.lock);
    return nullptr;
}
}  // namespace

int start_poll_thread(poll_thread_options const& options, poll_thread** out) noexcept {
    void* const room = allocate({}, sizeof(poll_thread), alignof(poll_thread));
    if (!room) return -ENOMEM;
    auto* const t = ::new (room) poll_thread(options);
    int failed = make_condition(t->changed);
    if (failed == 0) {
        // The new thread has its creator's mask: signals are for the program's own threads.
        sigset_t all, before;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = -::pthread_create(&t->thread, nullptr, run, t);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (failed == 0) return *out = t, 0;
        ::pthread_cond_destroy(&t->changed);
    }
    t->~poll_thread();
    release({}, t, sizeof(poll_thread), alignof(poll_thread));
    return failed;
}

void retain(poll_thread& t) noexcept { t.references.fetch_add(1, std::memory_order_relaxed); }
void release(poll_thread& t) noexcept {
    if (t.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (!is_lost(t)) {
        ::pthread_cond_destroy(&t.changed);
        ::pthread_mutex_destroy(&t.lock);
    }
    t.~poll_thread();
    release({}, &t, sizeof(poll_thread), alignof(poll_thread));
}

// The lock may be held by a thread that is not here: it is not asked for.
bool is_lost(poll_thread const& t) noexcept { return t.mark != fork_mark(); }

void hand_over(poll_thread& t, std::int64_t timeout_ns, bool pausing) noexcept {
    guard const held(t);
    t.timeout_ns = timeout_ns;
    t.pausing = pausing;
    set_state(t, sleep_state::asleep);
}

bool begin_turn(poll_thread& t, std::uint32_t number, post_failures& since) noexcept {
    guard const held(t);
    bool const due =
        t.state == sleep_state::posting || t.state == sleep_state::posted || t.state == sleep_state::refused;
    if (!due || t.number != number) return false;
    set_state(t, sleep_state::working);
    since = t.failures;
    since.sleep = t.slept;
    t.failures = {};
    t.pause_ns = first_pause_ns;
    return true;
}

post_failures failures_of(poll_thread& t) noexcept {
    guard const held(t);
    return t.failures;
}

void const* owner_of(poll_thread& t) noexcept {
    if (is_lost(t)) return nullptr;
    guard const held(t);
    return t.state == sleep_state::ended ? nullptr : t.options.owner;
}

void end_poll_thread(poll_thread& t, void (*wake)(void* context) noexcept, void* context) noexcept {
    if (is_lost(t)) return;
    {
        guard const held(t);
        if (t.state == sleep_state::ended) return;
        set_state(t, sleep_state::ended);
    }
    wake(context);   // not before: it would see its sleep end, and post
    ::pthread_join(t.thread, nullptr);
}

void keep_turn(poll_thread& t, std::uint32_t number) noexcept {
    retain(t);
    if (is_lost(t)) return;
    guard const held(t);
    if (t.number == number) ++t.copies;
}

void drop_turn(poll_thread& t, std::uint32_t number) noexcept {
    if (!is_lost(t)) {
        guard const held(t);
        if (t.number == number && --t.copies == 0 && t.state == sleep_state::posted) refuse(t, dropped());
    }
    release(t);
}

void misplace_turn(poll_thread& t, std::uint32_t number, errc why) noexcept {
    guard const held(t);
    if (t.number != number) return;
    if (t.state == sleep_state::posting) t.misplaced = why;
    else if (t.state == sleep_state::posted) refuse(t, elsewhere(why));
}

}}}  // namespace spruce::v0::detail
