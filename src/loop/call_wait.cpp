// Calls that somebody waits for. The caller's frame holds all there is of one, but for the node in the inbox, and
// stands until it is known how the call went: that it ran, or that it never will.
#include <spruce/loop.hpp>

#include <utility>

#include "../sys/thread_gate.hpp"
#include "hub.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct awaited {
    void (*run)(void* context) noexcept;
    void* context;
    void (*tell)(awaited& self) noexcept;   // the last that the other thread does with it
    bool ran = false;                       // else its loop ended first
};

constexpr awaited_call_ops awaited_ops{{[](void* at, void*) noexcept {
                                            auto& call = *static_cast<awaited*>(at);
                                            call.run(call.context);
                                            call.ran = true;
                                            call.tell(call);
                                        },
                                        [](void*) noexcept {}, 0, 1},
                                       [](void* at) noexcept {
                                           auto& call = *static_cast<awaited*>(at);
                                           call.tell(call);
                                       }};

// The inbox's node, sent; its handle is the caller's.
result<post_node*> send(remote* to, awaited& call) noexcept {
    void* room = nullptr;
    SPRUCE_TRY(post_node* const node, claim_post(to, 0, 1, &room));
    node->callable = &call;
    node->awaited = true;
    SPRUCE_CHECK(send_post(to, node, &awaited_ops));
    return node;
}
}  // namespace

// -- a thread that blocks

namespace {
struct call_of_thread : awaited {
    thread_gate over;
};

result<void> block_for(remote* to, void (*run)(void*) noexcept, void* context, deadline dl) noexcept {
    call_of_thread call{{run, context, [](awaited& a) noexcept { static_cast<call_of_thread&>(a).over.open(); }}, {}};
    if (int const failed = call.over.status(); failed < 0) return kernel_error(failed);
    SPRUCE_TRY(post_node* const node, send(to, call));
    bool taken_back = false;
    if (!call.over.wait(dl.remaining().count())) {
        taken_back = cancel_post(node);
        if (!taken_back) call.over.wait(no_time);   // it has begun, and what it uses may lie in our frames
    }
    release(node);
    if (taken_back) return errc::timed_out;
    return call.ran ? result<void>() : errc::closed;
}
}  // namespace

// -- a task that parks

struct call_of_task : awaited, list_link {
    call_of_task(awaited const& what, hub& h) noexcept : awaited(what), home(h) {}
    hub& home;
    post_node* sent = nullptr; // held
    post_node told;            // brings the news to the task's own thread
    // The task's thread alone:
    void* waiter = nullptr;    // its wait, while it waits
    bool over = false;         // told

    void end() noexcept {
        over = true;
        if (waiter) home.ext->wake_for_call(std::exchange(waiter, nullptr));
    }
};

namespace {
constexpr callable_ops told_ops{[](void*, void*) noexcept {},
                                [](void* call) noexcept { static_cast<call_of_task*>(call)->end(); }, 0, 1};

// The caller's name for the other loop may go while others run, before the call is sent. A task that is abandoned there
// lets go as well.
struct door_hold : outside_wait {
    door_hold(remote* r, hub& h) noexcept
        : outside_wait([](outside_wait& self) noexcept { static_cast<door_hold&>(self).end(); }), door(r) {
        retain(door);
        h.outside_waits.push_back(*this);
    }
    ~door_hold() { end(); }
    void end() noexcept {
        unlink();
        if (remote* const r = std::exchange(door, nullptr)) release(r);
    }
    remote* door;
};

result<void> park_for(hub& h, remote* to, void (*run)(void*) noexcept, void* context, deadline dl) noexcept {
    door_hold until_sent(to, h);
    SPRUCE_CHECK(h.ext->begin_wait());
    // The other thread sends its news to this loop's door, from this frame: which keeps the door, also where destroy()
    // abandons the task.
    struct kept_door {
        explicit kept_door(remote* r) noexcept : door(r) { retain(r); }
        ~kept_door() { release(door); }
        remote* door;
    } const kept(h.door);
    call_of_task call({run, context, [](awaited& a) noexcept {
                           auto& self = static_cast<call_of_task&>(a);
                           static_cast<void>(push_embedded(*static_cast<remote*>(self.told.to), self.told));
                       }}, h);
    call.told.ops = &told_ops;
    call.told.callable = &call;
    call.told.embedded = true;
    call.told.to = kept.door;
    SPRUCE_TRY(post_node* const node, send(to, call));
    until_sent.end();
    call.sent = node;
    h.calls_awaited.push_back(call);
    auto waited = h.ext->park_for_call(&call.waiter, dl, false);
    if (!call.over && !cancel_post(node))
        while (!call.over) static_cast<void>(h.ext->park_for_call(&call.waiter, never(), true));   // as above
    call.unlink();
    release(node);
    if (!call.over) return waited.error();
    return call.ran ? result<void>() : errc::closed;
}
}  // namespace

void lose_awaited_calls(hub& h) noexcept {
    while (call_of_task* const call = h.calls_awaited.take_front()) {
        if (call->over) continue;
        call->ran = false;
        call->end();
    }
}

void take_back_awaited_calls(hub& h) noexcept {
    while (call_of_task* const call = h.calls_awaited.take_front()) {
        call->waiter = nullptr;
        // One that has begun ends in the frame, which stays
        if (!call->over) static_cast<void>(cancel_post(call->sent));
        release(call->sent);
    }
}

namespace {
result<void> begin_call(hub* task_of, remote* to, void (*run)(void*) noexcept, void* context, deadline dl) noexcept {
    if (!to) return errc::no_loop;
    if (current_hub && current_hub->door == to) {
        if (!remote_alive(to)) return errc::closed;
        return with_detail(errc::deadlock, "call_wait() on the loop's own thread");
    }
    return task_of ? park_for(*task_of, to, run, context, dl) : block_for(to, run, context, dl);
}
}  // namespace

result<void> wait_for_call(remote* to, void (*run)(void*) noexcept, void* context, deadline dl) noexcept {
    hub* const here = current_hub;
    hub* const task_of = here && here->ext && here->ext->in_task(*here) ? here : nullptr;
    auto const ended = begin_call(task_of, to, run, context, dl);
    if (task_of) current_hub->ext->end_of_call();   // one that failed at once counts like one that waited
    return ended;
}

}}}  // namespace spruce::v0::detail
