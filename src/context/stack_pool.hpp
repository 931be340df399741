// The stacks of one loop: mapped in slabs, guarded, committed as they are touched, and used again last in, first out.
// docs/stacks.md tells more.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>

#include "sanitizers.hpp"
#include "valgrind.hpp"

namespace spruce::inline v0::detail {

enum class stack_class : std::uint8_t { k16, k64, k256, m1, m8 };
inline constexpr std::size_t stack_classes = 5;
constexpr std::size_t bytes_of(stack_class c) noexcept {
    return c == stack_class::m8 ? std::size_t{8} << 20 : std::size_t{16} << 10 << 2 * static_cast<unsigned>(c);
}
// The smallest class of at least so many bytes; the largest there is beyond that.
constexpr stack_class class_for(std::size_t bytes) noexcept {
    for (std::size_t c = 0; c != stack_classes; ++c)
        if (bytes <= bytes_of(static_cast<stack_class>(c))) return static_cast<stack_class>(c);
    return stack_class::m8;
}
inline constexpr std::size_t default_stack_bytes = sizeof(void*) >= 8 ? std::size_t{256} << 10 : std::size_t{64} << 10;
inline constexpr stack_class default_stack_class = class_for(default_stack_bytes);

// A frame may skip a page without touching it, so that one page would not always be met.
inline constexpr std::size_t guard_bytes = std::size_t{16} << 10;

// What may be used of a stack: [bottom, top). The top is a multiple of 64, and shifted by a colour: stacks that all
// ended alike would fight for the same lines of the cache.
struct stack_ref {
    std::byte* bottom;
    std::byte* top;
};

class stack_pool {
public:
    // A free stack keeps a pointer to the next one so many bytes below its top.
    stack_pool(memory_hook memory, std::size_t link_depth = sizeof(void*)) noexcept
        : memory_(memory), link_depth_(link_depth), watched_(ask_valgrind(valgrind_request::running) != 0) {}
    ~stack_pool();
    stack_pool(stack_pool const&) = delete;
    stack_pool& operator=(stack_pool const&) = delete;

    // A stack: the one given back last, or a fresh one.
    result<stack_ref> take(stack_class c) noexcept {
        if (std::byte* const top = take_again(c)) return stack_ref{bottom_of(c, top), top};
        return carve(c);
    }
    // The top of the one given back last; null if there is none.
    std::byte* take_again(stack_class c) noexcept {
        free_stack*& head = free_[static_cast<std::size_t>(c)];
        if (!head) return nullptr;
        auto* const top = reinterpret_cast<std::byte*>(head) + link_depth_;
        head = head->next;
        forget_frames(bottom_of(c, top), top);
        if (watched_) [[unlikely]] forget_for_valgrind(bottom_of(c, top), top);
        return top;
    }
    // A fresh one, all zero. no_memory, or an errno; detail() names vm.max_map_count when it is that.
    result<stack_ref> carve(stack_class c) noexcept;
    // Nothing of it is written but the link.
    void give(stack_class c, std::byte* top) noexcept {
        auto* const s = reinterpret_cast<free_stack*>(top - link_depth_);
        free_stack*& head = free_[static_cast<std::size_t>(c)];
        s->next = head;
        head = s;
    }

    // The lowest address of the stack with this top. Tops lie within two kilobytes below the end of their stack.
    static std::byte* bottom_of(stack_class c, std::byte* top) noexcept {
        auto const end = (reinterpret_cast<std::uintptr_t>(top) + 4095) & ~std::uintptr_t{4095};
        return reinterpret_cast<std::byte*>(end - bytes_of(c));
    }

    // Every stack ever handed out, free or not; what the owner keeps at the top tells which. A walk begins with a
    // fresh cursor.
    struct cursor {
        std::size_t slab = 0, place = 0;
    };
    bool next(cursor& at, stack_class* c, stack_ref* out) const noexcept;
    template <class F> void for_each(F&& f) const {
        cursor at;
        stack_class c{};
        stack_ref s{};
        while (next(at, &c, &s)) f(c, s);
    }

    // How much of it was ever used, by this owner or an earlier one: down to the deepest word that isn't zero.
    std::size_t high_water(stack_class c, stack_ref s) const noexcept;
    // The guard below it.
    static std::byte* guard_of(stack_ref s) noexcept { return s.bottom - guard_bytes; }
    std::size_t mapped_bytes() const noexcept { return mapped_; }
    // Leaves everything mapped, for ever: live frames are in it, and pointers into them.
    void abandon() noexcept { forget_slabs(); }

private:
    struct free_stack {
        free_stack* next;
    };
    struct slab {
        std::byte* base;
        std::uint32_t count, carved;
        stack_class size_class;
        bool light_guards;
        std::uint32_t* numbers;   // Valgrind's of its stacks; null where there is none
    };
    static constexpr std::size_t colours = 32;
    static std::size_t stride(stack_class c) noexcept { return bytes_of(c) + guard_bytes; }
    stack_ref place(slab const& s, std::size_t i) const noexcept;
    result<slab*> add_slab(stack_class c) noexcept;
    void forget_slabs() noexcept;
    std::size_t deepest_word(stack_class c, stack_ref s) const noexcept;
    void tell_valgrind(slab& s, stack_ref carved) noexcept;
    static void forget_for_valgrind(std::byte* bottom, std::byte* top) noexcept;

    memory_hook memory_;
    std::size_t link_depth_;
    bool watched_;   // by Valgrind
    free_stack* free_[stack_classes] = {};
    slab* slabs_ = nullptr;
    std::size_t slab_count_ = 0, slab_room_ = 0;
    std::size_t open_[stack_classes] = {};   // the class's newest slab, plus 1
    std::size_t mapped_ = 0;
};

}  // namespace spruce::inline v0::detail
