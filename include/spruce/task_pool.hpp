// A pool of tasks: jobs, of which so many run at once.
#pragma once
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "async_function.hpp"
#include "bound.hpp"
#include "group.hpp"
#include "detail/waiter_list.hpp"

namespace spruce { inline namespace v0 {

// How a task_pool is made.
struct task_pool_options {
    std::size_t bound = 10'000;    // so many jobs wait for their task; 0: submit() waits until one can begin
    std::string_view name{};       // of the tasks; 31 bytes are kept
};

namespace detail {
struct pool_core;
struct pool_job;
struct pool_job_ops {
    void (*start)(pool_job& j, task_options const& options) noexcept;   // makes its task, or fails it
    void (*destroy)(pool_job& j) noexcept;                              // of one that was not started
};
struct pool_claim {
    pool_core* core;
    error why;
};
SPRUCE_API pool_claim make_pool(std::size_t tasks, task_pool_options const& options) noexcept;
// Takes a place for a job. Errors: closed, full, or those of a wait.
SPRUCE_API result<void> enter_pool(pool_core* p, bool waits) noexcept;
// A job in its place; it gives the place back when it ends. Null: there is no memory, and the place is given back.
struct job_claim {
    pool_job* job = nullptr;
    void* room = nullptr;
    future_block* call = nullptr;
    error why = errc::no_memory;
};
SPRUCE_API job_claim claim_job(pool_core* p, future_ops const* ops, std::size_t size, std::size_t alignment) noexcept;
SPRUCE_API void unclaim_job(pool_job* j) noexcept;
SPRUCE_API void add_job(pool_job* j, pool_job_ops const* ops, future_block* call) noexcept;
SPRUCE_API void* job_room(pool_job& j) noexcept;
SPRUCE_API void end_job(pool_job* j) noexcept;
SPRUCE_API result<void> join_pool(pool_core* p, deadline dl) noexcept;
SPRUCE_API void close_pool(pool_core* p) noexcept;
SPRUCE_API void end_pool(pool_core* p) noexcept;
SPRUCE_API std::size_t pool_size(pool_core const* p) noexcept;
// One that counts from now.
inline deadline begun(deadline dl) noexcept {
    if (dl.how() != deadline::kind::relative) return dl;
    time_point const now = loop_clock::now();
    return dl.remaining() < time_point::max() - now ? at(now + dl.remaining()) : never();
}

// A job's task holds its place.
class job_place {
public:
    job_place() noexcept = default;
    job_place(job_place&& other) noexcept : job(std::exchange(other.job, nullptr)) {}
    ~job_place() {
        if (job) end_job(job);
    }
    pool_job* job = nullptr;
};

template <class F, class R, class... A> struct job_body {
    template <class G, class... B>
    job_body(call_guard&& c, G&& g, B&&... b)
        : call(std::move(c)), f(std::forward<G>(g)), arguments(std::forward<B>(b)...) {}

    job_place place;   // the last to go
    call_guard call;
    F f;
    std::tuple<A...> arguments;

    void operator()() {
        run_call<R>(call.block(), [this]() -> decltype(auto) {
            return std::apply([this](A&... a) -> decltype(auto) { return std::invoke(std::move(f), std::move(a)...); },
                              arguments);
        });
    }
    static void start(pool_job& j, task_options const& options) noexcept {
        auto& self = *static_cast<job_body*>(job_room(j));
        future_block* const call = self.call.block();
        self.place.job = &j;
        bool begun = false;
        call_guarded([&] {
            auto const made = spawn_in(detail::special_spawn{nullptr, &options}, std::move(self));
            task_block* const block = task_access::block(made);
            if (block) adopt_call(call, block);
            else refuse_call(call, task_access::why(made));
            begun = true;
        });
        if (!begun && self.call.block()) refuse_call(call, errc::task_failed);   // a move threw
        job_place const place(std::move(self.place));
        self.~job_body();
    }
    static void destroy(pool_job& j) noexcept { static_cast<job_body*>(job_room(j))->~job_body(); }
    static constexpr pool_job_ops ops{start, destroy};
};
}  // namespace detail

// The results of task_pool::map(), in the order of what went in. Its end cancels the jobs that have not ended and, in a
// task, waits until they have. Moves. Thread: the pool's.
template <class R> class pool_results {
public:
    // For the library's own use: room for so many.
    pool_results(std::size_t count, deadline dl) noexcept : dl_(dl), memory_(detail::memory_here()), room_(count) {
        if (count <= static_cast<std::size_t>(-1) / 2 / sizeof(future<R>))
            at_ =
                static_cast<future<R>*>(detail::allocate(memory_, (count + 1) * sizeof(future<R>), alignof(future<R>)));
        if (!at_) fail(errc::no_memory);
    }
    pool_results(pool_results&& other) noexcept
        : dl_(other.dl_),
          memory_(other.memory_),
          at_(std::exchange(other.at_, nullptr)),
          room_(other.room_),
          made_(std::exchange(other.made_, 0)),
          next_(std::exchange(other.next_, 0)),
          why_(other.why_),
          failed_(other.failed_) {
        detail::anchor_link::end(other.life_);   // they wait for nothing there
    }
    pool_results& operator=(pool_results&&) = delete;
    ~pool_results() {
        for (std::size_t i = next_; i < made_; ++i)
            if (auto* const job = detail::future_access::ref(at_[i]).block())
                detail::cancel_future_for(job, detail::cause_here());
        cancel_shield const whatever_happens;
        for (std::size_t i = 0; i < made_; ++i) {
            if (i >= next_) static_cast<void>(at_[i].wait());
            at_[i].~future<R>();
        }
        if (at_) detail::release(memory_, at_, (room_ + 1) * sizeof(future<R>), alignof(future<R>));
    }
    void add(future<R> f) noexcept { ::new (static_cast<void*>(at_ + made_++)) future<R>(std::move(f)); }
    void fail(error why) noexcept {
        why_ = why;
        failed_ = true;
    }
    // Whether more can be added.
    bool active() const noexcept { return !failed_; }

    // Waits for the next result. Several tasks may: each gets another one.
    // Errors: end_of_stream (all were given); timed_out (the time of map() is over), canceled, not_in_task; what the
    // job gave; and once, in its place, why no more jobs were submitted; closed (it ended, or was moved, while this
    // waited).
    // Cancel: ends the wait; the job goes on.
    [[nodiscard]] result<R> next() {
        result<R> item = errc::end_of_stream;
        cut_ = false;
        advance(item);
        return item;
    }
    // for (auto& r : pool.map(…)) gives a result<R> for each, and ends after the last, or after one that says that
    // the time is over, or that the waiter was canceled.
    class iterator {
    public:
        explicit iterator(pool_results& of) : of_(&of) { ++*this; }
        result<R>& operator*() noexcept { return now_; }
        iterator& operator++() {
            over_ = !of_->advance(now_);
            return *this;
        }
        bool operator==(std::default_sentinel_t) const noexcept { return over_; }

    private:
        pool_results* of_;
        result<R> now_ = errc::end_of_stream;
        bool over_ = false;
    };
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() noexcept { return {}; }

private:
    // Another waiter may take what this has waited for: then it is about the next.
    bool advance(result<R>& into) {
        for (;;) {
            step const did = try_advance(into);
            if (did != step::again) return did == step::got;
        }
    }
    enum class step { got, over, again };
    step try_advance(result<R>& into) {
        if (cut_) return step::over;
        if (next_ == made_) {
            detail::counted_call const counted;
            if (std::exchange(failed_, false)) return into = why_, step::got;
            return step::over;
        }
        std::size_t const place = next_;
        detail::anchor_link const alive(life_);
        // A wait that fails is not the job's end, even if that has come meanwhile.
        auto const there = future<R>(at_[place]).wait(dl_);
        if (!alive.of) return into = errc::closed, step::got;
        if (!there) {
            into = there.error();
            cut_ = true;
            return step::got;
        }
        if (next_ != place) return step::again;
        future<R> f = std::exchange(at_[next_++], {});
        into = std::move(f).get();
        return step::got;
    }
    deadline dl_;
    memory_hook memory_;
    future<R>* at_ = nullptr;
    std::size_t room_, made_ = 0, next_ = 0;
    error why_ = errc::end_of_stream;
    bool failed_ = false, cut_ = false;
    anchor life_;   // for those who wait here when it ends
};

// Runs jobs in tasks of their own, of which no more than so many live at once; they are made when they are needed. Jobs
// that find no task wait for one, first come, first served, up to a bound. The pool's end takes back those that wait
// (closed), one whose submit() is still under way among them, refuses more (closed), cancels those that run and, in a
// task, waits until they have ended; elsewhere, and in one of its own jobs, they end in their turn.
// Errors (of all calls): no_memory, no_loop, if it could not be made. Thread: one loop's; elsewhere calls give
// wrong_thread.
class task_pool : detail::pinned {
public:
    // With no tasks at all every call gives invalid_argument.
    explicit task_pool(std::size_t tasks, task_pool_options options = {}) noexcept
        : pool_(detail::make_pool(tasks, options)) {}
    ~task_pool() {
        if (pool_.core) detail::end_pool(pool_.core);
    }

    // Runs f(args...) in a task; waits for a place in the line if there is none. f and the arguments are moved (or
    // copied) in, std::ref for references.
    // Returns: the job's future, as of an async_function's call: cancel() takes a job back that has not begun, and
    // cancels the task of one that has. Dropped, the job goes on.
    // Errors: closed (the pool was closed, also while it waited), canceled, not_in_task, no_memory; in the future:
    // those of spawn(); closed, if a move of f or of an argument into the task throws, which is reported to the
    // unhandled hook. What throws before, in this call, comes out of it. Cancel: f is not called.
    template <class F, class... A>
        requires detail::startable<F, A...>
    [[nodiscard]] result<future<detail::started_t<F, A...>>> submit(F&& f, A&&... args) {
        return add(true, std::forward<F>(f), std::forward<A>(args)...);
    }
    // The same without waiting. Errors: full (no place), closed, no_memory.
    template <class F, class... A>
        requires detail::startable<F, A...>
    [[nodiscard]] result<future<detail::started_t<F, A...>>> try_submit(F&& f, A&&... args) {
        return add(false, std::forward<F>(f), std::forward<A>(args)...);
    }
    // Submits f(input) for each input, copies of both; waits for places as submit() does. What it gives yields the
    // results in the order of the inputs; its time counts from here, and waiting for places is part of it. Where
    // submitting ends with an error, that comes after the results of those that were submitted.
    template <class Inputs, class F>
        requires std::copy_constructible<std::decay_t<F>>
    [[nodiscard]] auto map(Inputs const& inputs, F&& f, deadline dl = {}) {
        using std::begin, std::end;
        using input = std::decay_t<decltype(*begin(inputs))>;
        using R = detail::started_t<F const&, input>;
        deadline const until = detail::begun(dl);
        pool_results<R> all(static_cast<std::size_t>(std::distance(begin(inputs), end(inputs))), until);
        for (auto at = begin(inputs); all.active() && at != end(inputs); ++at) {
            // As long as the places last nothing waits, and no time is needed.
            auto made = try_submit(std::as_const(f), input(*at));
            if (!made && made.error() == error(errc::full))
                made = with_deadline(until, [&] { return submit(std::as_const(f), input(*at)); });
            if (made) all.add(*std::move(made));
            else all.fail(made.error());
        }
        return all;
    }

    // How many jobs run, and wait for a task.
    std::size_t size() const noexcept { return pool_.core ? detail::pool_size(pool_.core) : 0; }
    // Waits until no job is left; more may be submitted after. Errors: canceled, timed_out, not_in_task, deadlock (in
    // one of its own jobs). Cancel: leaves no trace.
    [[nodiscard]] result<void> join(deadline dl = {}) {
        if (!pool_.core) return detail::refused_call(pool_.why);
        return detail::join_pool(pool_.core, dl);
    }
    // No more is submitted; what was, runs. Any number of times.
    void close() noexcept {
        if (pool_.core) detail::close_pool(pool_.core);
    }
    // close() and join(). Any number of times. Errors, Cancel: as of join().
    [[nodiscard]] result<void> shutdown(deadline dl = {}) {
        close();
        return join(dl);
    }

private:
    template <class F, class... A> result<future<detail::started_t<F, A...>>> add(bool waits, F&& f, A&&... args) {
        using R = detail::started_t<F, A...>;
        using body = detail::job_body<std::decay_t<F>, R, std::decay_t<A>...>;
        if (!pool_.core) return waits ? detail::refused_call(pool_.why) : pool_.why;
        SPRUCE_CHECK(detail::enter_pool(pool_.core, waits));
        auto const c = detail::claim_job(pool_.core, &detail::future_ops_of<R>, sizeof(body), alignof(body));
        if (!c.job) return c.why;
        detail::call_guard guard(c.call);
        detail::retain_future(c.call);
        auto made = detail::future_access::handle<R>(detail::future_ref(reinterpret_cast<std::uintptr_t>(c.call)));
        detail::make_in<body>(c.room, [&] { detail::unclaim_job(c.job); }, std::move(guard), std::forward<F>(f),
                              std::forward<A>(args)...);
        detail::add_job(c.job, &body::ops, c.call);
        return made;
    }
    detail::pool_claim pool_;
};

}}  // namespace spruce::v0
