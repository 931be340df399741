// The stacks of one loop: mapped in slabs, guarded, committed as they are touched, and used again last in, first out.
// docs/stacks.md tells more.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>

#include "../base/prefetch.hpp"
#include "sanitizers.hpp"
#include "valgrind.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The last three lie side by side in huge pages, without guards between them.
enum class stack_class : std::uint8_t { k16, k64, k256, m1, m8, bare2k, bare4k, bare8k };
inline constexpr std::size_t stack_classes = 8;
constexpr bool is_bare(stack_class c) noexcept { return c >= stack_class::bare2k; }
constexpr std::size_t bytes_of(stack_class c) noexcept {
    auto const n = static_cast<unsigned>(c);
    if (is_bare(c)) return std::size_t{2048} << (n - static_cast<unsigned>(stack_class::bare2k));
    return c == stack_class::m8 ? std::size_t{8} << 20 : std::size_t{16} << 10 << 2 * n;
}
// The smallest guarded class of at least so many bytes; the largest there is beyond that.
constexpr stack_class class_for(std::size_t bytes) noexcept {
    for (auto c = stack_class::k16; c != stack_class::m8; c = static_cast<stack_class>(static_cast<unsigned>(c) + 1))
        if (bytes <= bytes_of(c)) return c;
    return stack_class::m8;
}
// The same of those without guards, for at most `most_bare`.
inline constexpr std::size_t most_bare = bytes_of(stack_class::bare8k);
constexpr stack_class bare_class_for(std::size_t bytes) noexcept {
    return bytes <= bytes_of(stack_class::bare2k)   ? stack_class::bare2k
           : bytes <= bytes_of(stack_class::bare4k) ? stack_class::bare4k
                                                    : stack_class::bare8k;
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
    explicit stack_pool(memory_hook memory) noexcept
        : memory_(memory), watched_(ask_valgrind(valgrind_request::running) != 0) {}
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
        free_tops& free = free_[static_cast<std::size_t>(c)];
        std::byte* const top = free.end[-1];
        if (!top) return nullptr;
        --free.end;
        if (free.end > free.many) [[unlikely]] prefetch_top(free.end[-far_ahead]);
        forget_frames(bottom_of(c, top), top);
        if (watched_) [[unlikely]] forget_for_valgrind(bottom_of(c, top), top);
        return top;
    }
    // A fresh one, all zero. no_memory, or an errno; detail() names vm.max_map_count when it is that.
    result<stack_ref> carve(stack_class c) noexcept;
    // Nothing of it is touched.
    void give(stack_class c, std::byte* top) noexcept {
        *free_[static_cast<std::size_t>(c)].end++ = top;
    }

    // The lowest address of the stack with this top. Tops lie within two kilobytes below the end of their stack; at it,
    // without a guard.
    static std::byte* bottom_of(stack_class c, std::byte* top) noexcept {
        if (is_bare(c)) return top - bytes_of(c);
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
    // Whether the two lines at the end of a stack without a guard, one of its own and the one below, are as they were
    // made: who grew beyond it has written there, unless a frame reached over them.
    static bool is_intact(stack_class c, std::byte const* top) noexcept {
        for (auto const* word = end_marks(top - bytes_of(c)); word != end_marks(top - bytes_of(c)) + marks; ++word)
            if (*word != mark) return false;
        return true;
    }
    // Whether such a stack may be had: where no tool watches stacks, for which a guarded one tells more, and where a
    // context is small.
    bool has_bare() const noexcept;
    // How far below such a stack a fault is still its owner's. Only below the first of a slab is there a guard.
    static constexpr std::size_t bare_reach = 64 + guard_bytes;
    // The guard below it.
    static std::byte* guard_of(stack_ref s) noexcept { return s.bottom - guard_bytes; }
    std::size_t mapped_bytes() const noexcept { return mapped_; }
    // Leaves everything mapped, for ever: live frames are in it, and pointers into them.
    void abandon() noexcept { forget_slabs(); }

private:
    // The tops of those that are free, the one given back last at the end, behind a null; with room for all that were
    // ever carved. Beside the stacks, so that those of later births can be asked for early: where there are many, they
    // are seldom in the cache.
    struct free_tops {
        std::byte** end = &none + 1;
        std::byte** many = &none + 1;   // an end beyond this is that of many
        std::byte** begin = nullptr;
        std::size_t carved = 0, room = 0;
        static inline constinit std::byte* none = nullptr;
    };
    static constexpr std::ptrdiff_t far_ahead = 6;
    static constexpr std::size_t many_free = 1024;
    // What a birth writes: the lines below the top.
    static void prefetch_top(std::byte const* top) noexcept {
        for (std::size_t line = 1; line <= 8; ++line) prefetch_for_write(top - line * 64);
    }
    struct slab {
        std::byte* base;
        void* mapping;            // where base lies in, so many bytes
        std::size_t bytes;
        std::uint32_t count, carved;
        std::uint32_t prepared;   // those that are guarded, and whose last page is committed
        stack_class size_class;
        bool light_guards;
        bool singly;              // they could not be prepared some at a time
        std::uint32_t* numbers;   // Valgrind's of its stacks; null where there is none
    };
    static constexpr std::size_t colours = 32;
    static constexpr std::size_t huge_page = std::size_t{2} << 20;
    static constexpr std::uintptr_t mark = static_cast<std::uintptr_t>(0x5ac7e2d19b3f6a84);
    static constexpr std::size_t mark_bytes = 64, marks = (64 + mark_bytes) / sizeof(std::uintptr_t);
    static std::uintptr_t const* end_marks(std::byte const* bottom) noexcept {
        return reinterpret_cast<std::uintptr_t const*>(bottom - 64);
    }
    // Bare ones have a line below each, so that their tops differ by a colour, too.
    static std::size_t stride(stack_class c) noexcept { return bytes_of(c) + (is_bare(c) ? 64 : guard_bytes); }
    stack_ref place(slab const& s, std::size_t i) const noexcept;
    result<slab*> add_slab(stack_class c) noexcept;
    static result<void> guard_one(slab& s, stack_ref made) noexcept;
    bool make_room(free_tops& free) noexcept;
    bool prepare_some(slab& s) noexcept;
    void forget_slabs() noexcept;
    std::size_t deepest_word(stack_class c, stack_ref s) const noexcept;
    void tell_valgrind(slab& s, stack_ref carved) noexcept;
    static void forget_for_valgrind(std::byte* bottom, std::byte* top) noexcept;

    memory_hook memory_;
    bool watched_;   // by Valgrind
    free_tops free_[stack_classes] = {};
    slab* slabs_ = nullptr;
    std::size_t slab_count_ = 0, slab_room_ = 0;
    std::size_t open_[stack_classes] = {};   // the class's newest slab, plus 1
    std::size_t mapped_ = 0;
};

}}}  // namespace spruce::v0::detail
