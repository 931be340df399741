// What other threads may have of a loop: a thread-safe handle, the calls they sent, wakers.
#pragma once
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "detail/callback.hpp"
#include "error.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
struct hub;
struct remote;          // what other threads know of a loop; outlives it
struct post_node;

SPRUCE_API result<post_node*> claim_post(remote* to, std::size_t size, std::size_t alignment, void** room) noexcept;
SPRUCE_API void unclaim_post(post_node* node) noexcept;
SPRUCE_API result<void> send_post(remote* to, post_node* node, callable_ops const* ops) noexcept;
SPRUCE_API void retain(remote* r) noexcept;
SPRUCE_API void release(remote* r) noexcept;
SPRUCE_API void release(post_node* n) noexcept;
SPRUCE_API bool cancel_post(post_node* n) noexcept;
SPRUCE_API bool post_done(post_node const* n) noexcept;
SPRUCE_API result<void> stop_remote(remote* r) noexcept;
SPRUCE_API bool remote_alive(remote const* r) noexcept;
SPRUCE_API bool remote_takes_calls(remote const* r) noexcept;
SPRUCE_API bool remote_is_here(remote const* r) noexcept;
SPRUCE_API result<post_node*> make_waker_node(hub* on, error const& status, std::size_t size, std::size_t alignment,
                                              void** room) noexcept;
SPRUCE_API void arm_waker(post_node* n, callable_ops const* ops) noexcept;
SPRUCE_API void wake_node(post_node* n) noexcept;
SPRUCE_API void drop_waker(post_node* n) noexcept;

template <class F> void run_plain(void* callable, void*) noexcept {
    call_guarded([&] { static_cast<void>((*static_cast<F*>(callable))()); });
}
template <class F> inline constexpr callable_ops plain_ops{run_plain<F>, destroy_callable<F>, sizeof(F), alignof(F)};

// Runs `run` on the loop's thread and waits for that, as call_wait() says. ok: it ran to its end; else it never will.
SPRUCE_API result<void> wait_for_call(remote* on, void (*run)(void* context) noexcept, void* context,
                                      deadline dl) noexcept;

// What a caller waits for: the function, and what it gave. Lies in the caller's frame, which stands until then.
template <class F> struct awaited_call {
    using raw = std::invoke_result_t<F>;
    F f;
    std::optional<result<outcome_t<F>>> outcome{};
    char text[120] = "";       // the error's detail, or what an exception said; details are a thread's own

    void keep(char const* what) noexcept {
        std::size_t size = 0;
        for (; what[size] && size + 1 != sizeof text; ++size) text[size] = what[size];
        text[size] = '\0';
    }
    void call() {
        if constexpr (std::is_void_v<raw>) {
            std::invoke(std::move(f));
            outcome.emplace();
        } else {
            outcome.emplace(std::invoke(std::move(f)));
        }
        if (!outcome->ok()) keep(outcome->error().detail());
    }
    static void run(void* at) noexcept {
        auto& self = *static_cast<awaited_call*>(at);
#if SPRUCE_THROWS
        try {
            self.call();
        } catch (std::exception const& e) {
            self.outcome.emplace(error(errc::task_failed));
            self.keep(e.what());
        } catch (...) {
            self.outcome.emplace(error(errc::task_failed));
            self.keep("an exception that is not a std::exception");
        }
#else
        self.call();
#endif
    }
};
}  // namespace detail

// A call sent to another thread's loop. Letting go of it changes nothing. Thread: any, one at a time.
class posted {
public:
    posted() noexcept = default;
    explicit posted(detail::post_node* node) noexcept : node_(node) {}
    posted(posted&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    posted& operator=(posted&& other) noexcept {
        if (this != &other) {
            if (node_) detail::release(node_);
            node_ = std::exchange(other.node_, nullptr);
        }
        return *this;
    }
    ~posted() {
        if (node_) detail::release(node_);
    }
    // Takes the call back. Returns: true if it had not begun; then it never runs.
    bool cancel() noexcept { return node_ && detail::cancel_post(node_); }
    // Whether it ran to its end.
    bool done() const noexcept { return node_ && detail::post_done(node_); }

private:
    detail::post_node* node_ = nullptr;
};

// The thread-safe handle of a loop: what other threads have of it. It outlives it, freely copied. Thread: any.
class loop_ref {
public:
    loop_ref() noexcept = default;
    explicit loop_ref(detail::remote* r) noexcept : remote_(r) {
        if (remote_) detail::retain(remote_);
    }
    loop_ref(loop_ref const& other) noexcept : loop_ref(other.remote_) {}
    loop_ref(loop_ref&& other) noexcept : remote_(std::exchange(other.remote_, nullptr)) {}
    loop_ref& operator=(loop_ref other) noexcept {
        std::swap(remote_, other.remote_);
        return *this;
    }
    ~loop_ref() {
        if (remote_) detail::release(remote_);
    }

    // Runs f on the loop's thread, in its next turn, after what this thread posted before. f is destroyed there,
    // or where the loop dies. A pending call holds the loop's run().
    // Errors: closed (the loop has ended, or is ending), full (its inbox's bound), no_memory; no_loop of an empty one.
    // Lifetime: f moves in.
    template <class F>
        requires std::invocable<std::decay_t<F>&>
    [[nodiscard]] result<posted> call(F&& f) const {
        using held = std::decay_t<F>;
        void* room = nullptr;
        auto node = detail::claim_post(remote_, sizeof(held), alignof(held), &room);
        if (!node) return node.error();
        detail::move_in<held>(room, std::forward<F>(f), [&] { detail::unclaim_post(*node); });
        auto sent = detail::send_post(remote_, *node, &detail::plain_ops<held>);
        if (!sent) return sent.error();
        return posted(*node);
    }

    // Runs f on the loop's thread, as call() does, and waits for what it gives. A task waits as tasks do; other code,
    // callbacks of another loop among it, blocks its thread. f cannot wait.
    // Returns: f's value. Errors: f's own, with its detail; task_failed (f threw: detail() says what). All others mean
    // that f never ran and never will: timed_out, canceled, closed (the loop has ended, or ended first), deadlock (on
    // the loop's own thread), full (its inbox's bound), no_memory, an errno; no_loop of an empty one.
    // Lifetime: f moves in, and is gone when this returns, as is all use of what it refers to: a deadline that passes,
    // or a cancel, ends the wait for f's turn, not f; once it has begun, the caller stays until its end.
    // Cancel: ends the wait, as the deadline does.
    template <class F>
        requires detail::startable<F>
    [[nodiscard]] result<detail::started_t<F>> call_wait(F&& f, deadline dl = {}) const {
        using call = detail::awaited_call<std::decay_t<F>>;
        call waits{std::forward<F>(f)};
        if (auto ran = detail::wait_for_call(remote_, call::run, &waits, dl); !ran) return ran.error();
        if (!waits.outcome->ok() && waits.text[0]) return detail::with_detail(waits.outcome->error(), waits.text);
        return *std::move(waits.outcome);
    }

    // Stops the loop's run(), as its own stop() would; if it does not run, its next one after its first turn.
    // Errors: closed; no_loop of an empty one.
    result<void> stop() const { return detail::stop_remote(remote_); }
    // Whether the loop still takes calls; it may end right after.
    bool alive() const noexcept { return remote_ && detail::remote_takes_calls(remote_); }
    // Whether the calling thread is the loop's; false of an empty one, and once the loop has ended.
    bool is_here() const noexcept { return detail::remote_is_here(remote_); }

private:
    detail::remote* remote_ = nullptr;
};

// Makes a loop run a function, from anywhere. Its end takes the function back.
class [[nodiscard]] waker {
public:
    explicit waker(detail::post_node* n) noexcept : node_(n) {}
    waker(waker&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    waker& operator=(waker&& other) noexcept {
        if (this != &other) {
            if (node_) detail::drop_waker(node_);
            node_ = std::exchange(other.node_, nullptr);
        }
        return *this;
    }
    ~waker() {
        if (node_) detail::drop_waker(node_);
    }
    // The function will run once in the loop's next turn, however often this is called until then. Never waits,
    // never fails; on a dead loop it does nothing. Thread: any, and signal handlers.
    void wake() const noexcept {
        if (node_) detail::wake_node(node_);
    }

private:
    detail::post_node* node_;
};

}}  // namespace spruce::v0
