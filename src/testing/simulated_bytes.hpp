// The bytes that wait in one direction of a simulated pipe or socket: a ring that grows as needed. Bytes under way
// are in it already, but not yet arrived.
#pragma once
#include <cstddef>
#include <cstring>
#include <new>

#include <spruce/memory.hpp>

namespace spruce { inline namespace v0 { namespace detail {

class simulated_bytes {
public:
    simulated_bytes() = default;
    simulated_bytes(simulated_bytes const&) = delete;
    simulated_bytes& operator=(simulated_bytes const&) = delete;
    ~simulated_bytes() {
        while (first_part_) drop_part();
        release({}, at_, room_, 1);
    }

    std::size_t size() const noexcept { return size_; }          // arrived or under way
    std::size_t arrived() const noexcept { return arrived_; }    // may be taken

    // Makes sure that `more` bytes can be put. False: no memory.
    bool reserve(std::size_t more) noexcept {
        if (size_ + more <= room_) return true;
        std::size_t room = room_ ? room_ : 256;
        while (room < size_ + more) room *= 2;
        auto* const at = static_cast<unsigned char*>(allocate({}, room, 1));
        if (!at) return false;
        copy_out(at, size_);
        release({}, at_, room_, 1);
        at_ = at;
        room_ = room;
        first_ = 0;
        return true;
    }
    // Appends; the room was reserved before.
    void put(void const* from, std::size_t count) noexcept {
        std::size_t const to = (first_ + size_) % (room_ ? room_ : 1);
        std::size_t const straight = count < room_ - to ? count : room_ - to;
        if (straight) std::memcpy(at_ + to, from, straight);
        if (count > straight) std::memcpy(at_, static_cast<unsigned char const*>(from) + straight, count - straight);
        size_ += count;
    }
    void arrive(std::size_t count) noexcept { arrived_ += count; }
    // What is put next, so many bytes, is taken by itself: by takes that end where it ends. False: no memory.
    bool set_apart(std::size_t count) noexcept {
        void* const at = allocate({}, sizeof(part), alignof(part));
        if (!at) return false;
        part** end = &first_part_;
        while (*end) end = &(*end)->next;
        *end = ::new (at) part{nullptr, count};
        return true;
    }
    // Takes what has arrived, up to `count`; says how much that was.
    std::size_t take(void* into, std::size_t count) noexcept {
        if (count > arrived_) count = arrived_;
        if (first_part_ && count >= first_part_->left) {
            count = first_part_->left;
            drop_part();
        } else if (first_part_) {
            first_part_->left -= count;
        }
        copy_out(static_cast<unsigned char*>(into), count);
        if (room_) first_ = (first_ + count) % room_;
        size_ -= count;
        arrived_ -= count;
        return count;
    }

private:
    struct part {
        part* next;
        std::size_t left;
    };
    void drop_part() noexcept {
        part* const gone = first_part_;
        first_part_ = gone->next;
        release({}, gone, sizeof(part), alignof(part));
    }
    void copy_out(unsigned char* into, std::size_t count) const noexcept {
        std::size_t const straight = count < room_ - first_ ? count : room_ - first_;
        if (straight) std::memcpy(into, at_ + first_, straight);
        if (count > straight) std::memcpy(into + straight, at_, count - straight);
    }

    unsigned char* at_ = nullptr;
    std::size_t room_ = 0, first_ = 0, size_ = 0, arrived_ = 0;
    part* first_part_ = nullptr;
};

}}}  // namespace spruce::v0::detail
