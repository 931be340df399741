#include "stack_pool.hpp"

#include <cerrno>
#include <utility>

#include "../sys/mapping.hpp"
#include "switch.hpp"

extern "C" {
[[gnu::weak, gnu::visibility("default")]] void __asan_init();
[[gnu::weak, gnu::visibility("default")]] void __tsan_init();
}

namespace spruce { inline namespace v0 { namespace detail {

stack_pool::~stack_pool() {
    mapping_table const& m = process_mappings();
    for (std::size_t i = 0; i != slab_count_; ++i) {
        slab const& s = slabs_[i];
        if (s.numbers)
            for (std::size_t n = 0; n != s.carved; ++n) ask_valgrind(valgrind_request::remove_stack, s.numbers[n]);
        m.calls->unmap(m.context, s.mapping, s.bytes);
    }
    forget_slabs();
    release(memory_, slabs_, slab_room_ * sizeof(slab), alignof(slab));
    for (free_tops& free : free_) release(memory_, free.begin, free.room * sizeof(std::byte*), alignof(std::byte*));
}

void stack_pool::forget_slabs() noexcept {
    for (std::size_t i = 0; i != slab_count_; ++i)
        release(memory_, slabs_[i].numbers, slabs_[i].count * sizeof(std::uint32_t), alignof(std::uint32_t));
    slab_count_ = 0;
}

// Each stack by itself: within one of Valgrind's stacks a far move of the stack pointer is a large frame.
void stack_pool::tell_valgrind(slab& s, stack_ref carved) noexcept {
    if (!s.numbers) return;   // its owner's memory refused: what Valgrind says then is its guess
    auto const lowest = reinterpret_cast<std::uintptr_t>(carved.bottom);
    auto const highest = lowest + bytes_of(s.size_class) - 1;
    s.numbers[s.carved] = static_cast<std::uint32_t>(ask_valgrind(valgrind_request::add_stack, lowest, highest));
}

// What lay below the last owner's last frame is nobody's for memcheck, and the next owner's arguments may reach there.
void stack_pool::forget_for_valgrind(std::byte* bottom, std::byte* top) noexcept {
    auto const bytes = static_cast<std::uintptr_t>(top - bottom);
    ask_valgrind(valgrind_request::make_undefined, reinterpret_cast<std::uintptr_t>(bottom), bytes);
}

// From below: guard, stack, guard, stack, …; a stack ends with its slot. Of bare ones: line, stack, line, stack, ….
stack_ref stack_pool::place(slab const& s, std::size_t i) const noexcept {
    if (is_bare(s.size_class)) {
        std::byte* const bottom = s.base + i * stride(s.size_class) + 64;
        return {bottom, bottom + bytes_of(s.size_class)};
    }
    std::byte* const bottom = s.base + i * stride(s.size_class) + guard_bytes;
    // A line lower for each colour.
    return {bottom, bottom + bytes_of(s.size_class) - (i % colours) * 64};
}

// The sanitizers may be the program's alone, over a library that was built without.
bool stack_pool::has_bare() const noexcept {
    return !__asan_init && !__tsan_init && !SPRUCE_SWITCH_UCONTEXT && !watched_;
}

result<stack_pool::slab*> stack_pool::add_slab(stack_class c) noexcept {
    if (slab_count_ == slab_room_) {
        std::size_t const room = slab_room_ ? slab_room_ * 2 : 8;
        auto* const bigger = static_cast<slab*>(allocate(memory_, room * sizeof(slab), alignof(slab)));
        if (!bigger) return errc::no_memory;
        for (std::size_t i = 0; i != slab_count_; ++i) bigger[i] = slabs_[i];
        release(memory_, slabs_, slab_room_ * sizeof(slab), alignof(slab));
        slabs_ = bigger;
        slab_room_ = room;
    }
    // A small first one, for small programs; then twice as many stacks each time, within half a gigabyte.
    std::size_t const before = open_[static_cast<std::size_t>(c)];
    // (Bare ones: a huge page, then two, …)
    std::size_t count = before ? std::size_t{slabs_[before - 1].count} * 2 : is_bare(c) ? huge_page / stride(c) : 4;
    constexpr std::size_t most_bytes = sizeof(void*) >= 8 ? std::size_t{512} << 20 : std::size_t{4} << 20;
    while (count > 1 && count * stride(c) > most_bytes) count /= 2;
    mapping_table const& m = process_mappings();
    void* at = nullptr;
    std::size_t bytes = 0, used = 0;
    for (bool huge = is_bare(c);; count /= 2) {
        bytes = used = count * stride(c);
        if (huge) {
            used = (used + huge_page - 1) & ~(huge_page - 1);   // whole huge pages, from where one begins
            bytes = used + huge_page + guard_bytes;
        } else if (is_bare(c)) {
            bytes = used + guard_bytes;
        }
        int const failed = m.calls->map(m.context, bytes, &at);
        if (failed == 0) break;
        // A tight address space may still have room for a few; of bare ones first for as many in small pages.
        if (std::exchange(huge, false)) count *= 2;
        else if (count == 1)
            return with_detail(failed == -ENOMEM ? error(errc::no_memory) : error::from_errno(-failed),
                               "mapping a stack: mmap(); see vm.max_map_count and ulimit -v");
    }
    auto* base = static_cast<std::byte*>(at);
    bool const huge = bytes > used + huge_page;
    if (is_bare(c)) base += guard_bytes;
    if (huge)
        base =
            reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(base) + huge_page - 1) & ~(huge_page - 1));
    slab& made = slabs_[slab_count_];
    made = {base, at, bytes, static_cast<std::uint32_t>(count), 0, 0, c, true, false, nullptr};
    if (is_bare(c)) {
        // What the first of them may overflow into is foreign memory.
        if (auto const guarded = guard_one(made, {base, base}); !guarded) {
            m.calls->unmap(m.context, at, bytes);
            return guarded.error();
        }
        if (huge && m.calls->prefer_huge) m.calls->prefer_huge(m.context, base, used);   // small pages will do, too
    }
    mapped_ += bytes;
    if (watched_) [[unlikely]]
        made.numbers =
            static_cast<std::uint32_t*>(allocate(memory_, count * sizeof(std::uint32_t), alignof(std::uint32_t)));
    open_[static_cast<std::size_t>(c)] = ++slab_count_;
    return &made;
}

result<void> stack_pool::guard_one(slab& s, stack_ref made) noexcept {
    mapping_table const& m = process_mappings();
    std::byte* const guard = guard_of(made);
    int failed = s.light_guards ? m.calls->guard(m.context, guard, guard_bytes, true) : -ENOTSUP;
    if (failed != 0) {
        // An old kernel, locked memory, an emulator: the costly guard, which splits the mapping.
        s.light_guards = false;
        failed = m.calls->guard(m.context, guard, guard_bytes, false);
    }
    if (failed == -ENOMEM) return with_detail(errc::no_memory, "guarding a stack: vm.max_map_count is reached");
    if (failed != 0) return with_detail(error::from_errno(-failed), "guarding a stack: mprotect()");
    return {};
}

// The next few at once, for two calls. With each slab twice as large as the one before, a sixteenth of all there are.
bool stack_pool::prepare_some(slab& s) noexcept {
    mapping_table const& m = process_mappings();
    std::size_t many = (s.carved + s.count) / 16;
    if (many > most_places) many = most_places;
    if (many > s.count - s.carved) many = s.count - s.carved;
    // Valgrind 3.19 does not know the call, and says so each time.
    if (many < 2 || !s.light_guards || s.singly || !m.calls->prepare || watched_) return false;
    std::byte* const at = s.base + s.carved * stride(s.size_class);
    if (m.calls->prepare(m.context, at, stride(s.size_class), many, guard_bytes) != 0) {
        s.singly = true;
        return false;
    }
    s.prepared = s.carved + static_cast<std::uint32_t>(many);
    return true;
}

bool stack_pool::make_room(free_tops& free) noexcept {
    if (free.carved + 1 < free.room) return true;
    std::size_t const room = free.room ? free.room * 2 : 16;
    auto** const bigger = static_cast<std::byte**>(allocate(memory_, room * sizeof(std::byte*), alignof(std::byte*)));
    if (!bigger) return false;
    std::size_t const used = free.begin ? static_cast<std::size_t>(free.end - free.begin) : 1;
    for (std::size_t i = 0; i != used; ++i) bigger[i] = free.begin ? free.begin[i] : nullptr;
    release(memory_, free.begin, free.room * sizeof(std::byte*), alignof(std::byte*));
    free = {bigger + used, bigger + (room < many_free ? room : many_free), bigger, free.carved, room};
    return true;
}

result<stack_ref> stack_pool::carve(stack_class c) noexcept {
    free_tops& free = free_[static_cast<std::size_t>(c)];
    if (!make_room(free)) return errc::no_memory;
    std::size_t const open = open_[static_cast<std::size_t>(c)];
    slab* s = open ? &slabs_[open - 1] : nullptr;
    if (!s || s->carved == s->count) {
        SPRUCE_TRY(s, add_slab(c));
    }
    stack_ref const made = place(*s, s->carved);
    if (is_bare(c)) {
        auto* const end = reinterpret_cast<std::uintptr_t*>(made.bottom - 64);
        for (std::size_t i = 0; i != marks; ++i) end[i] = mark;
    } else if (s->carved >= s->prepared && !prepare_some(*s)) {
        SPRUCE_CHECK(guard_one(*s, made));
        commit_page(made.top - 1);
    }
    tell_valgrind(*s, made);
    ++s->carved;
    ++free.carved;
    forget_frames(made.bottom, made.top);
    return made;
}

bool stack_pool::next(cursor& at, stack_class* c, stack_ref* out) const noexcept {
    for (; at.slab != slab_count_; ++at.slab, at.place = 0) {
        slab const& s = slabs_[at.slab];
        if (at.place == s.carved) continue;
        *c = s.size_class;
        *out = place(s, at.place++);
        return true;
    }
    return false;
}

std::size_t stack_pool::high_water(stack_class c, stack_ref s) const noexcept {
    // It looks where no frame is: for memcheck that is nobody's memory, and here that is no error.
    ask_valgrind(valgrind_request::change_reporting, 1);
    std::size_t const deepest = deepest_word(c, s);
    ask_valgrind(valgrind_request::change_reporting, static_cast<std::uintptr_t>(-1));
    return deepest;
}

std::size_t stack_pool::deepest_word(stack_class c, stack_ref s) const noexcept {
    if (is_bare(c)) {
        if (!is_intact(c, s.top)) return bytes_of(c);
        auto const* const end = reinterpret_cast<std::uintptr_t const*>(s.top);
        for (auto const* word = reinterpret_cast<std::uintptr_t const*>(s.bottom + mark_bytes); word != end; ++word)
            if (*word != 0) return static_cast<std::size_t>(s.top - reinterpret_cast<std::byte const*>(word));
        return 0;
    }
    mapping_table const& m = process_mappings();
    std::size_t const page = page_size();
    unsigned char resident[64];
    // From the bottom up: pages that were never touched are not resident, and must not be touched now.
    std::byte* const end = s.bottom + bytes_of(c);
    for (std::byte* at = s.bottom; at < end; at += sizeof resident * page) {
        std::size_t bytes = static_cast<std::size_t>(end - at);
        if (bytes > sizeof resident * page) bytes = sizeof resident * page;
        if (m.calls->resident(m.context, at, bytes, resident) != 0) return 0;
        for (std::size_t i = 0; i * page < bytes; ++i) {
            if ((resident[i] & 1) == 0) continue;
            auto const* word = reinterpret_cast<std::uintptr_t const*>(at + i * page);
            auto const* const stop = reinterpret_cast<std::uintptr_t const*>(s.top);
            for (; word < stop; ++word)
                if (*word != 0) return static_cast<std::size_t>(s.top - reinterpret_cast<std::byte const*>(word));
            return 0;
        }
    }
    return 0;
}

}}}  // namespace spruce::v0::detail
