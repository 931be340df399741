// The ready ring: what runs next, in the order it became ready. One FIFO for callbacks and tasks.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>

namespace spruce { inline namespace v0 { namespace detail {

// One thing to run. For a task the word is its saved stack pointer, so that a switch needs only this entry and the
// stack it points to: four entries a cache line.
struct ready_entry {
    void* node;      // a handler_slot; or, with the lowest bit set, the extension's (a task)
    void* word;
};

inline constexpr std::uintptr_t extension_bit = 1;
inline bool is_extension(void const* node) noexcept {
    return (reinterpret_cast<std::uintptr_t>(node) & extension_bit) != 0;
}

// A circular array that never overflows: whoever makes something that can become ready reserves its place first, so
// that becoming ready neither allocates nor fails. Each reserved thing is in the ring at most once.
class ready_ring {
public:
    explicit ready_ring(memory_hook memory) noexcept : memory_(memory) {}
    ~ready_ring() { release(memory_, entries_, (std::size_t{mask_} + 1) * sizeof(ready_entry), alignof(ready_entry)); }
    ready_ring(ready_ring const&) = delete;
    ready_ring& operator=(ready_ring const&) = delete;

    // Room for n more things. false: no memory, and nothing changed.
    bool reserve(std::size_t n) noexcept {
        if (reserved_ + holes_ + n <= capacity()) {
            reserved_ += n;
            return true;
        }
        return grow(n);
    }
    void unreserve(std::size_t n) noexcept { reserved_ -= n; }

    bool empty() const noexcept { return head_ == tail_; }
    std::size_t size() const noexcept { return tail_ - head_; }
    ready_entry& front() noexcept { return entries_[head_ & mask_]; }
    // The entry after the front one, to prefetch; garbage if there is none, but readable.
    ready_entry& second() noexcept { return entries_[(head_ + 1) & mask_]; }
    // The same of the n-th after it.
    ready_entry& ahead(std::uint32_t n) noexcept { return entries_[(head_ + n) & mask_]; }
    ready_entry take() noexcept { return entries_[head_++ & mask_]; }
    void push_back(void* node, void* word) noexcept { entries_[tail_++ & mask_] = {node, word}; }
    // The same, and where the word lies: the switch writes the stack pointer there.
    void** push_back_for(void* node) noexcept {
        ready_entry& e = entries_[tail_++ & mask_];
        e.node = node;
        return &e.word;
    }
    void push_front(void* node, void* word) noexcept { entries_[--head_ & mask_] = {node, word}; }
    // Where the nodes of the extension remember their entries: at() gives what was kept, or null.
    struct places {
        std::uint32_t const* (*at)(void* node) noexcept;
        void (*keep)(void* node, std::uint32_t place) noexcept;
    };
    // Takes one node's entry out of the middle, keeping the order of the rest; false if it is not there. In its stead
    // the hole may be left, a node that whoever takes it passes to filled(). Each entry is looked at a bounded number
    // of times, however many are extracted.
    bool extract(void* node, ready_entry* out, void* hole, places const& of) noexcept;
    // A hole was taken out.
    void filled() noexcept { --holes_; }

private:
    std::size_t capacity() const noexcept { return entries_ ? std::size_t{mask_} + 1 : 0; }
    // The end of those that remember their places.
    std::uint32_t known() const noexcept { return known_ - head_ <= tail_ - head_ ? known_ : head_; }
    bool grow(std::size_t n) noexcept;
    bool resize(std::size_t size) noexcept;
    bool find(void* node, places const& of, std::uint32_t* found) noexcept;
    void close_up(void* hole) noexcept;

    ready_entry* entries_ = nullptr;
    std::uint32_t mask_ = 0;
    std::uint32_t head_ = 0, tail_ = 0;   // run on and wrap; the difference counts
    std::size_t reserved_ = 0;
    std::size_t holes_ = 0;
    std::uint32_t known_ = 0;             // the extension's nodes before this remember their places
    memory_hook memory_;
};

}}}  // namespace spruce::v0::detail
