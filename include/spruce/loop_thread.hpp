// A loop in a thread of its own, for a program whose main thread has other things to do.
#pragma once
#include <utility>

#include "config.hpp"
#include "loop_options.hpp"
#include "loop_ref.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct own_loop;   // what the handle and the thread share
SPRUCE_API result<own_loop*> start_loop_thread(loop_options const& options) noexcept;
SPRUCE_API loop_ref door_of(own_loop const* l) noexcept;
SPRUCE_API result<void> stop_loop_thread(own_loop* l) noexcept;
SPRUCE_API result<void> join_loop_thread(own_loop* l, deadline dl) noexcept;
SPRUCE_API void drop_loop_thread(own_loop* l) noexcept;
}  // namespace detail

// The handle of such a thread. It moves. Thread: any, one at a time. Lifetime: when it goes, the loop is stopped, and
// its thread waited for, as by stop() and an uncancelable join(); on that thread itself it only lets go.
class [[nodiscard]] loop_thread {
public:
    // Empty: there is no thread.
    loop_thread() noexcept = default;
    loop_thread(loop_thread&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    loop_thread& operator=(loop_thread&& other) noexcept {
        if (this != &other) {
            loop_thread const old(std::move(*this));
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }
    ~loop_thread() { detail::drop_loop_thread(state_); }

    // Makes a thread, and in it a loop that runs until it is stopped; comes back once it runs. The caller is blocked so
    // long, which is short. What is in options must live as long as the thread. It has its maker's signal mask.
    // Errors: no_memory; an errno (no thread could be made); why the loop could not be made or run, see loop::status().
    [[nodiscard]] static result<loop_thread> start(loop_options const& options = {}) {
        SPRUCE_TRY(auto* const made, detail::start_loop_thread(options));
        return loop_thread(made);
    }

    // The loop's thread-safe handle: calls, wakers, run_on(). An empty one of an empty handle.
    loop_ref remote() const noexcept { return detail::door_of(state_); }
    // Asks the loop to end its run; then its tasks are canceled and its thread ends. Never waits; twice is harmless.
    // Errors: wrong_state (empty); closed (in a forked child, which has no such thread).
    result<void> stop() const noexcept { return detail::stop_loop_thread(state_); }
    // Waits until the thread has ended, which it does once the loop is stopped. Tasks wait; all others block.
    // Returns: how the run ended; tasks_left (detail() names them) if some outlived the loop's destroy_grace.
    // Errors: timed_out, canceled (the thread goes on); deadlock (on that thread itself); wrong_state (empty); closed
    // (in a forked child); from a thread without a loop an errno, as of shared_event::wait(); what run_forever() says.
    [[nodiscard]] result<void> join(deadline dl = {}) const { return detail::join_loop_thread(state_, dl); }

private:
    explicit loop_thread(detail::own_loop* state) noexcept : state_(state) {}
    detail::own_loop* state_ = nullptr;
};

}}  // namespace spruce::v0
