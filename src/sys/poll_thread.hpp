// The thread that sleeps for a loop which is a guest in a foreign one. It does two things only: it blocks in the
// kernel, and it gives the host one turn to call. Everything of the loop runs on the loop's own thread, within such a
// turn, and between the two threads go numbers alone.
//
//   state      the loop is with …                   what ends it
//   working    its own thread: a turn runs, or       hand_over()                                        → asleep
//              none was handed over yet
//   asleep     the kernel, in the poller's sleep     the sleep ends; the turn gets a new number         → posting
//   posting    post(), which the thread is in        the host calls the turn, perhaps before post()
//                                                    comes back                                         → working
//                                                    post() comes back: taken                           → posted
//                                                    … or refused, or it threw, or no copy is left      → refused
//   posted     the host, who has the turn            the host calls it                                  → working
//                                                    the last copy dies uncalled, or the turn is called
//                                                    where it cannot run                                → refused
//   refused    nobody; the thread sleeps a while,    the while is over: the same number again           → posting
//              longer each time                      the host calls a copy that it has all the same     → working
//   ended      nobody, for good                      —
//
// From every state end_poll_thread() leads to `ended`. A turn runs only if it carries the number of the moment, in
// posting, posted or refused: so at most one is queued in the host, and one that comes late, or twice, does nothing.
#pragma once
#include <cstdint>

#include <spruce/error.hpp>

#include "kernel.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct poll_thread;

// How post() went.
struct post_outcome {
    bool taken = true;
    error why = errc::full;
    char what[96] = "";        // in words; empty if the error says it all
};

// What went wrong with the host since the last turn that ran: the first of it, and how often. And how the latest sleep
// went.
struct post_failures {
    std::uint32_t count = 0;
    post_outcome first{};
    int sleep = 0;             // or -errno
};

struct poll_thread_options {
    poller_calls const* poller;
    void* poller_context;
    // Gives the host the turn of that number. On the thread; must not wait for the loop's.
    void (*post)(void* context, std::uint32_t number, post_outcome& how) noexcept;
    void* context;
    void const* owner;         // whose turns these are
};

// The block is counted, since turns name it: this gives it with one count. All signals are blocked on the thread.
// 0, or -errno (-ENOMEM, -EAGAIN).
int start_poll_thread(poll_thread_options const& options, poll_thread** out) noexcept;
void retain(poll_thread& t) noexcept;
void release(poll_thread& t) noexcept;

// -- the loop's thread. After lie_down(): sleeps for so long (0: not at all; negative: for ever), then posts a turn.
// Pausing:
// without the poller, which has just refused, for 10 ms at most. So it does by itself where the sleep is refused.
void hand_over(poll_thread& t, std::int64_t timeout_ns, bool pausing = false) noexcept;
// Begins the turn of that number, if it is the one that is due. false: it is not, or not here; then it does nothing.
bool begin_turn(poll_thread& t, std::uint32_t number, post_failures& since) noexcept;
// What went wrong since the last turn that ran.
post_failures failures_of(poll_thread& t) noexcept;
// Whose turns they are; null when it has ended. Thread: any.
void const* owner_of(poll_thread& t) noexcept;
// In a forked child: there is no such thread here.
bool is_lost(poll_thread const& t) noexcept;
// For good: post() is not called any more, unless it is just now. `wake` brings the thread out of its sleep, with
// `context`. Comes back when it has gone; in a forked child, where there is none, at once. Twice is harmless.
void end_poll_thread(poll_thread& t, void (*wake)(void* context) noexcept, void* context) noexcept;

// -- any thread
// One more copy of a turn, or one less.
void keep_turn(poll_thread& t, std::uint32_t number) noexcept;
void drop_turn(poll_thread& t, std::uint32_t number) noexcept;
// The turn was called where it cannot run.
void misplace_turn(poll_thread& t, std::uint32_t number, errc why) noexcept;

}}}  // namespace spruce::v0::detail
