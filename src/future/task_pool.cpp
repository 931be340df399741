// Pools of tasks: the line of jobs, and who begins when another one ends.
#include <new>

#include <spruce/sync.hpp>
#include <spruce/task_pool.hpp>

#include "../base/round_up.hpp"
#include "../loop/plain_scope.hpp"
#include "call_block.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// In one block with its body, until that moves into its task; then it keeps the job's place.
struct pool_job : list_link, queued_call {
    pool_core* of = nullptr;
    pool_job_ops const* ops = nullptr;
    future_block* call = nullptr;   // a reference of its own, while it is in a list
    void* room = nullptr;
    memory_hook memory;
    std::size_t bytes = 0, alignment = 0;
    task_block const* taken_back_by = nullptr;   // whose stack its end is on; null: plain code's
    bool starts = false, ended = false;   // its body is still on its way into a task; which has let go of the place
};

// Freed with the pool or its last job.
struct pool_core {
    pool_core(std::size_t tasks_, std::size_t bound) noexcept
        : tasks(tasks_),
          places(bound < static_cast<std::size_t>(-2) - tasks_ ? tasks_ + bound : static_cast<std::size_t>(-2)) {}
    ~pool_core() {
        if (!closed) places.~semaphore();
    }
    std::size_t tasks, running = 0;
    std::size_t references = 1;
    intrusive_list<pool_job> waiting, begun;
    intrusive_list<pool_job> canceled;   // begun, and canceled by the pool's end
    intrusive_list<pool_job> taken_back; // not begun: what they hold is about to end, by the users' code
    wait_group left;              // jobs that have not ended
    std::size_t count = 0;
    union {
        semaphore places;         // until it is closed: its end is what tells those who wait for a place
    };
    function_core* function = nullptr;
    remote* door = nullptr;
    memory_hook memory;
    bool closed = false;
    bool ending = false;          // its end takes back what is not begun
    bool starting = false;        // somebody goes through the line already
};

namespace {
bool is_here(pool_core const& p) noexcept { return current_hub && current_hub->door == p.door && remote_alive(p.door); }
error why_not_here(pool_core const& p) noexcept { return remote_alive(p.door) ? errc::wrong_thread : errc::closed; }

void release_pool(pool_core& p) noexcept {
    if (--p.references != 0) return;
    memory_hook const memory = p.memory;
    release_function(p.function);
    release(p.door);
    p.~pool_core();
    release(memory, &p, sizeof(pool_core), alignof(pool_core));
}

// The job is over, and its body gone: the place is another's.
void leave(pool_job& j) noexcept {
    pool_core& p = *j.of;
    memory_hook const memory = j.memory;
    release(memory, &j, j.bytes, j.alignment);
    --p.count;
    if (!p.closed) static_cast<void>(p.places.release());
    static_cast<void>(p.left.done());
    release_pool(p);
}

// Whether the task that runs is one of its jobs, or in the end of one that it has taken back.
bool is_own(pool_core& p) noexcept {
    task_block const* const self = current_scheduler ? current_scheduler->current : nullptr;
    if (!self) return false;
    if (self->in_call && static_cast<call_block const*>(self->call)->pool == &p) return true;
    for (pool_job* j = p.taken_back.front(); j; j = p.taken_back.after(*j))
        if (j->taken_back_by == self) return true;
    return false;
}

void forget_call(pool_job& j) noexcept { release_future(std::exchange(j.call, nullptr)); }

void withdraw(queued_call& q) noexcept { static_cast<pool_job&>(q).unlink(); }
void destroy_queued(queued_call& q) noexcept {
    auto& j = static_cast<pool_job&>(q);
    j.taken_back_by = current_scheduler ? current_scheduler->current : nullptr;
    j.of->taken_back.push_back(j);
    j.ops->destroy(j);
    j.unlink();
    forget_call(j);
    leave(j);
}

// The pool ends, and with it the line.
void take_back_all(pool_core& p) noexcept {
    while (pool_job* const j = p.waiting.take_front()) {
        static_cast<call_block&>(*j->call).queued = nullptr;
        future_ref const keep(reinterpret_cast<std::uintptr_t>(j->call));
        retain_future(j->call);
        fail_block(*j->call, errc::closed);
        destroy_queued(*j);
    }
}

// By a loop: a job that cannot be started ends within its start.
void start_next(pool_core& p) noexcept {
    if (p.starting) return;
    p.starting = true;
    ++p.references;
    while (p.running < p.tasks) {
        pool_job* const j = p.waiting.take_front();
        if (!j) break;
        static_cast<call_block&>(*j->call).queued = nullptr;
        p.begun.push_back(*j);
        ++p.running;
        j->starts = true;
        j->ops->start(*j, call_options(p.function));
        j->starts = false;
        if (j->ended) end_job(j);
    }
    p.starting = false;
    release_pool(p);
}
}  // namespace

pool_claim make_pool(std::size_t tasks, task_pool_options const& options) noexcept {
    if (tasks == 0) return {nullptr, with_detail(errc::invalid_argument, "a pool of no tasks")};
    auto const here = loop::current();
    if (!here) return {nullptr, here.error()};
    async_options o;
    o.name = options.name;
    function_claim const f = claim_function(o, 1, 1);
    if (!f.core) return {nullptr, errc::no_memory};
    arm_function(f.core, [](void*) noexcept {});
    memory_hook const memory = memory_here();
    void* const room = allocate(memory, sizeof(pool_core), alignof(pool_core));
    if (!room) return release_function(f.core), pool_claim{nullptr, errc::no_memory};
    auto* const p = ::new (room) pool_core(tasks, options.bound);
    p->function = f.core;
    p->door = current_hub->door;
    retain(p->door);
    p->memory = memory;
    return {p, errc::closed};
}

result<void> enter_pool(pool_core* p, bool waits) noexcept {
    error const why = !is_here(*p) ? why_not_here(*p) : error(errc::closed);
    if (!is_here(*p) || p->closed) return waits ? refused_call(why) : why;
    ++p->references;
    result<void> entered;
    if (waits) {
        auto place = p->places.acquire();
        if (place) place->keep();
        // Closed after it was given the place, and before it ran: the permit is empty.
        entered = !place ? place.error() : p->closed ? errc::closed : result<void>();
    } else {
        auto place = p->places.try_acquire();
        if (place) place->keep();
        else entered = place.error() == error(errc::would_wait) ? errc::full : place.error();
    }
    release_pool(*p);
    return entered;
}

job_claim claim_job(pool_core* p, future_ops const* ops, std::size_t size, std::size_t alignment) noexcept {
    job_claim c;
    auto const give_back = [&] {
        if (!p->closed) static_cast<void>(p->places.release());
    };
    call_claim const call = claim_call(p->function, ops);
    if (!call.call) {
        future_ref const none(call.word);
        c.why = none.why();
        give_back();
        return c;
    }
    std::size_t const strictest = alignment > alignof(pool_job) ? alignment : alignof(pool_job);
    std::size_t const offset = round_up(sizeof(pool_job), alignment);
    memory_hook const memory = memory_here();
    auto* const block = static_cast<std::byte*>(allocate(memory, offset + size, strictest));
    if (!block) {
        end_call(call.call);
        give_back();
        return c;
    }
    auto* const j = ::new (static_cast<void*>(block)) pool_job;
    j->of = p;
    j->room = block + offset;
    j->memory = memory;
    j->bytes = offset + size;
    j->alignment = strictest;
    j->withdraw = withdraw;
    j->destroy = destroy_queued;
    ++p->references;
    ++p->count;
    p->left.add();
    c.job = j;
    c.room = j->room;
    c.call = call.call;
    return c;
}

void unclaim_job(pool_job* j) noexcept { leave(*j); }

void add_job(pool_job* j, pool_job_ops const* ops, future_block* call) noexcept {
    plain_scope const scope;
    j->ops = ops;
    j->call = call;
    retain_future(call);
    static_cast<call_block&>(*call).queued = j;
    static_cast<call_block&>(*call).pool = j->of;
    pool_core& p = *j->of;
    p.waiting.push_back(*j);
    // Its body's constructor may have waited until the pool's end came by.
    if (p.ending) return take_back_all(p);
    start_next(p);
}

void* job_room(pool_job& j) noexcept { return j.room; }

void end_job(pool_job* j) noexcept {
    // Where a move into the task throws, the place goes before the body that it moved from, which lies in this block.
    if (j->starts) return static_cast<void>(j->ended = true);
    pool_core& p = *j->of;
    ++p.references;
    j->unlink();
    forget_call(*j);
    --p.running;
    leave(*j);
    start_next(p);
    release_pool(p);
}

result<void> join_pool(pool_core* p, deadline dl) noexcept {
    if (!is_here(*p)) return refused_call(why_not_here(*p));
    if (is_own(*p)) return refused_call(with_detail(errc::deadlock, "a job that waits for the end of its pool's jobs"));
    ++p->references;
    auto const joined = p->left.wait(dl);
    release_pool(*p);
    return joined;
}

void close_pool(pool_core* p) noexcept {
    if (!is_here(*p) || std::exchange(p->closed, true)) return;
    p->places.~semaphore();
}

void end_pool(pool_core* p) noexcept {
    plain_scope const scope;   // a job that never ran may be the last to own the loop
    if (is_here(*p)) {
        close_pool(p);
        p->ending = true;
        take_back_all(*p);
        bool const own = is_own(*p);
        task_block const* const self = current_scheduler ? current_scheduler->current : nullptr;
        // A cancellation may end others of them, and start none.
        while (pool_job* const j = p->begun.take_front()) {
            p->canceled.push_back(*j);
            if (!self || static_cast<call_block&>(*j->call).task != self)
                static_cast<void>(cancel_future_for(j->call, cause_here()));
        }
        if (self && !own) {
            cancel_shield const whatever_happens;
            static_cast<void>(p->left.wait());
        }
    }
    release_pool(*p);
}

std::size_t pool_size(pool_core const* p) noexcept { return p->count; }

}}}  // namespace spruce::v0::detail
