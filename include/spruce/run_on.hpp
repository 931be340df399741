// Tasks of another thread's loop, and waiting there for what they give.
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "future.hpp"
#include "group.hpp"
#include "loop.hpp"
#include "loop_ref.hpp"
#include "memory.hpp"
#include "result.hpp"
#include "shared.hpp"
#include "task.hpp"
#include "this_task.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

namespace detail {
// What a caller elsewhere waits for: a future's or a task's outcome, else the value itself.
template <class T> result<T> final_outcome(future<T> f, deadline dl) { return std::move(f).get(dl); }
template <class R> result<R> final_outcome(task<R> t, deadline dl) { return std::move(t).get(dl); }
template <class R>
concept comes_later = requires { final_outcome(std::declval<R>(), deadline()); };
template <class F> struct run_to_its_outcome {
    F f;
    deadline dl;
    auto operator()() {
        if constexpr (comes_later<std::invoke_result_t<F>>) return final_outcome(std::invoke(std::move(f)), dl);
        else return std::invoke(std::move(f));
    }
};

// A task of one thread that another waits for. Both hold it, and what they share outlives either.
template <class F> class task_elsewhere {
public:
    using call = awaited_call<run_to_its_outcome<F>>;
    using outcome = typename decltype(call::outcome)::value_type;
    struct block {
        explicit block(F&& f) : what{{std::move(f), {}}} {}
        call what;
        shared_event over;
        std::atomic<std::uint32_t> references{1};
        std::atomic<std::uint32_t> given_up{0};   // the caller waits no more
        // The loop's thread alone:
        task<void> running;
        handler at_exit;
        bool begun = false;                       // the task is made, and its end sets `over`
    };

    static task_elsewhere make(F&& f, deadline dl) {
        void* const room = allocate({}, sizeof(block), alignof(block));
        task_elsewhere made;
        if (!room) return made;
        move_in<block>(room, std::move(f), [&] { release({}, room, sizeof(block), alignof(block)); });
        made.at_ = static_cast<block*>(room);
        made.at_->what.f.dl = dl;
        return made;
    }
    task_elsewhere() noexcept = default;
    task_elsewhere(task_elsewhere const& other) noexcept : at_(other.at_) {
        if (at_) at_->references.fetch_add(1, std::memory_order_relaxed);
    }
    task_elsewhere(task_elsewhere&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    task_elsewhere& operator=(task_elsewhere const&) = delete;
    ~task_elsewhere() {
        if (!at_ || at_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        at_->~block();
        release({}, at_, sizeof(block), alignof(block));
    }
    explicit operator bool() const noexcept { return at_ != nullptr; }
    block* operator->() const noexcept { return at_; }

    // On the loop's thread. `over` is set however it ends: by its own end, or by the loop's, without it.
    struct begins {
        task_elsewhere of;
        explicit begins(task_elsewhere const& t) noexcept : of(t) {}
        begins(begins&&) noexcept = default;
        ~begins() {
            if (of && !of->begun) of->over.set();
        }
        void operator()() {
            if (of->given_up.load(std::memory_order_acquire) != 0) return;
            auto here = loop::current();
            if (!here) return static_cast<void>(of->what.outcome.emplace(here.error()));
            // First, for without it an abandoned task would not be noticed.
            of->at_exit = here->on_exit([t = of] { t->over.set(); });
            if (!of->at_exit.active()) return static_cast<void>(of->what.outcome.emplace(of->at_exit.error()));
            keep_for_tasks(of->at_exit);
            auto made = spawn({.name = "run_on"}, [t = ends(of)] { call::run(&t.of->what); });
            if (!task_access::block(made)) {
                of->at_exit.cancel();
                return static_cast<void>(of->what.outcome.emplace(task_access::why(made)));
            }
            of->begun = true;
            of->running = std::move(made);
        }
    };

private:
    struct ends {
        task_elsewhere of;
        explicit ends(task_elsewhere const& t) noexcept : of(t) {}
        ends(ends&&) noexcept = default;
        ~ends() {
            if (!of || !of->begun) return;   // moved on, or refused: who asked for it tells that
            of->at_exit.cancel();
            of->over.set();
        }
    };
    block* at_ = nullptr;
};
}  // namespace detail

// Runs f as a task of that loop, and waits for what it gives; of a future or a task, which is to be that loop's, for
// its outcome. f may wait. A task waits as tasks do; a thread without a loop blocks.
// Returns: the value, moved here from the other thread. Errors: f's own, or the future's, with their detail;
// task_failed (something threw: detail() says what); closed (the loop has ended, or ends first), those of spawn(), full
// (its inbox's bound), no_memory; not_in_task from plain code on a thread with a loop; timed_out, canceled, an errno;
// no_loop of an empty one.
// Thread: any; of a loop's own thread, a task.
// Lifetime: f moves over, and what it refers to must outlive it there, not here: a deadline that passes ends this wait
// and, as it counts there too, the one for the future, which is left as it was; f's own waits go on.
// Cancel: is handed on: to the task, and what it waits for, as of task::cancel(). f that has not begun never does.
template <class F>
    requires detail::startable<F>
[[nodiscard]] auto run_on(loop_ref on, F&& f, deadline dl = {}) ->
    typename detail::task_elsewhere<std::decay_t<F>>::outcome {
    using elsewhere = detail::task_elsewhere<std::decay_t<F>>;
    loop_ref const door(on);  // what the caller has may go while this waits
    auto const t = elsewhere::make(std::decay_t<F>(std::forward<F>(f)), dl);
    if (!t) return errc::no_memory;
    // Whether it may wait here at all is to be known before anything begins there.
    if (auto const may = t->over.wait(in(duration::zero())); may != errc::timed_out) return may.error();
    if (auto const sent = door.call(typename elsewhere::begins(t)); !sent) return sent.error();
    if (auto const waited = t->over.wait(dl); !waited) {
        t->given_up.store(1, std::memory_order_release);
        if (waited != errc::canceled) return waited.error();
        // Where there is no memory or no room in its inbox for that now, there will be.
        cancel_shield const until_told;
        for (;;) {
            auto const sent = door.call([t, by = task_id{waited.error().origin()}] {
                if (auto* const block = detail::task_access::block(t->running)) detail::cancel_task_for(block, by);
            });
            if ((sent != errc::no_memory && sent != errc::full) || t->over.is_set()) return waited.error();
            static_cast<void>(sleep_for(std::chrono::milliseconds(1)));
        }
    }
    auto& given = t->what.outcome;
    if (!given) return errc::closed;
    if (!given->ok() && t->what.text[0]) return detail::with_detail(given->error(), t->what.text);
    return std::move(*given);
}

}}  // namespace spruce::v0
