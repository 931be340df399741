// Tasks made of C++20 coroutines: frames on the heap, a ring of handles, and a suspension that goes straight to the
// next. What a stackless runtime would have to do at the least; one thread, no more than 2^18 tasks.
#pragma once
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>

namespace floors {

class coroutine_ring {
public:
    void push(std::coroutine_handle<> h) noexcept { handles_[tail_++ & (size - 1)] = h; }
    std::coroutine_handle<> take() noexcept { return handles_[head_++ & (size - 1)]; }
    bool empty() const noexcept { return head_ == tail_; }
    void run() {
        while (!empty()) take().resume();
    }
    // co_await ring.yield(): to the back of the ring, and straight on with the next.
    struct yielding {
        coroutine_ring& ring;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> me) const noexcept {
            ring.push(me);
            return ring.take();
        }
        void await_resume() const noexcept {}
    };
    yielding yield() noexcept { return {*this}; }

private:
    static constexpr std::uint32_t size = 1 << 18;
    std::unique_ptr<std::coroutine_handle<>[]> handles_ = std::make_unique<std::coroutine_handle<>[]>(size);
    std::uint32_t head_ = 0, tail_ = 0;
};

// Begins when its handle is resumed; at its end it frees itself, unless somebody joins it, and goes on with the ring
// or with who joins.
struct coroutine_task {
    struct promise_type {
        std::coroutine_handle<> joiner{};
        bool held = false;
        coroutine_task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        struct ending {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> me) const noexcept {
                std::coroutine_handle<> const next = me.promise().joiner;
                if (!me.promise().held) me.destroy();
                return next ? next : std::noop_coroutine();
            }
            void await_resume() const noexcept {}
        };
        ending final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

// co_await join(ring, task): waits in the ring for its end, and frees it.
struct joining {
    coroutine_ring& ring;
    coroutine_task task;
    bool await_ready() const noexcept { return task.handle.done(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> me) const noexcept {
        task.handle.promise().joiner = me;
        return ring.take();
    }
    void await_resume() const noexcept { task.handle.destroy(); }
};
inline joining join(coroutine_ring& ring, coroutine_task task) noexcept {
    task.handle.promise().held = true;
    return {ring, task};
}

}  // namespace floors
