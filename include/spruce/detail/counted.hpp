// A value that several hold on one thread, and that goes with the last of them. Nothing here is for users to call.
#pragma once
#include <cstddef>
#include <new>
#include <utility>

#include "callback.hpp"
#include "../memory.hpp"
#include "waiter_list.hpp"

namespace spruce { inline namespace v0 { namespace detail {

template <class T> class counted {
public:
    counted() noexcept = default;
    // In the memory of this thread's loop; empty where there is none.
    template <class... A> static counted make(A&&... args) {
        counted made;
        memory_hook const memory = memory_here();
        void* const room = allocate(memory, sizeof(block), alignof(block));
        if (!room) return made;
        made.at_ = make_in<block>(room, [&] { release(memory, room, sizeof(block), alignof(block)); }, memory,
                                  std::forward<A>(args)...);
        return made;
    }
    counted(counted const& other) noexcept : at_(other.at_) {
        if (at_) ++at_->references;
    }
    counted(counted&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    counted& operator=(counted other) noexcept {
        std::swap(at_, other.at_);
        return *this;
    }
    ~counted() {
        block* const b = at_;
        if (!b || --b->references != 0) return;
        memory_hook const memory = b->memory;
        b->~block();
        release(memory, b, sizeof(block), alignof(block));
    }
    explicit operator bool() const noexcept { return at_ != nullptr; }
    T* operator->() const noexcept { return &at_->value; }
    T& operator*() const noexcept { return at_->value; }

private:
    struct block {
        template <class... A>
        explicit block(memory_hook const& from, A&&... args) : memory(from), value(std::forward<A>(args)...) {}
        memory_hook memory;
        std::size_t references = 1;
        T value;
    };
    block* at_ = nullptr;
};

}}}  // namespace spruce::v0::detail
