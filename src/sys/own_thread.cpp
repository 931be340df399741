#include "own_thread.hpp"

#include <cerrno>
#include <cstdint>
#include <new>
#include <pthread.h>

#include <spruce/memory.hpp>

#include "fork_mark.hpp"

namespace spruce { inline namespace v0 { namespace detail {

struct own_thread {
    pthread_t id{};
    std::uint32_t mark = fork_mark();
};

namespace {
void let_go(own_thread* t) noexcept {
    t->~own_thread();
    release({}, t, sizeof(own_thread), alignof(own_thread));
}

// What the new thread needs, copied before its maker, or it itself, may let go of the rest.
struct beginning {
    void (*run)(void*) noexcept;
    void* context;
};
void* begin(void* at) {
    beginning const b = *static_cast<beginning*>(at);
    release({}, at, sizeof(beginning), alignof(beginning));
    b.run(b.context);
    return nullptr;
}
}  // namespace

int start_own_thread(void (*run)(void*) noexcept, void* context, own_thread** out) noexcept {
    void* const room = allocate({}, sizeof(own_thread), alignof(own_thread));
    void* const start = room ? allocate({}, sizeof(beginning), alignof(beginning)) : nullptr;
    if (!start) {
        release({}, room, sizeof(own_thread), alignof(own_thread));
        return -ENOMEM;
    }
    auto* const t = *out = ::new (room) own_thread;
    ::new (start) beginning{run, context};
    if (int const failed = ::pthread_create(&t->id, nullptr, begin, start); failed != 0) {
        release({}, start, sizeof(beginning), alignof(beginning));
        let_go(t);
        *out = nullptr;
        return -failed;
    }
    return 0;
}

bool is_own_thread(own_thread const& t) noexcept {
    return fork_mark() == t.mark && ::pthread_equal(::pthread_self(), t.id) != 0;
}

void join_own_thread(own_thread* t) noexcept {
    if (fork_mark() == t->mark) ::pthread_join(t->id, nullptr);
    let_go(t);
}

void leave_own_thread(own_thread* t) noexcept {
    if (fork_mark() == t->mark) ::pthread_detach(t->id);
    let_go(t);
}

}}}  // namespace spruce::v0::detail
