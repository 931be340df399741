// The buffers that responses pass through, one pool a hub. The last given back is the next taken: as long as
// clients keep up, all connections of a hub share one that stays in the processor's cache, and a thousand idle
// connections own none.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>
#include <span>

namespace serve {

class chunk_pool {
public:
    static constexpr std::size_t chunk_size = 64 * 1024;
    chunk_pool() noexcept = default;
    chunk_pool(chunk_pool const&) = delete;
    chunk_pool& operator=(chunk_pool const&) = delete;
    ~chunk_pool() {
        while (spare_) std::free(pop());
    }
    // Null when there is no memory.
    void* take() noexcept { return spare_ ? pop() : std::malloc(chunk_size); }
    void give(void* chunk) noexcept {
        if (kept_ == most_kept) return std::free(chunk);
        spare_ = ::new (chunk) link{spare_};
        ++kept_;
    }

private:
    struct link {
        link* next;
    };
    static constexpr std::size_t most_kept = 64;
    void* pop() noexcept {
        link* first = spare_;
        spare_ = first->next;
        --kept_;
        return first;
    }
    link* spare_ = nullptr;
    std::size_t kept_ = 0;
};

// One chunk, for as long as this lives.
class chunk {
public:
    explicit chunk(chunk_pool& from) noexcept : pool_(from), bytes_(from.take()) {}
    chunk(chunk const&) = delete;
    chunk& operator=(chunk const&) = delete;
    ~chunk() {
        if (bytes_) pool_.give(bytes_);
    }
    explicit operator bool() const noexcept { return bytes_ != nullptr; }
    std::span<char> room() const noexcept { return {static_cast<char*>(bytes_), chunk_pool::chunk_size}; }

private:
    chunk_pool& pool_;
    void* bytes_;
};

}  // namespace serve
