// What a loop publishes of itself while somebody watches it from another thread: what runs now.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>

#include "slot_words.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What runs. The texts of `kind` are static.
struct running_now {
    char const* kind = nullptr;         // "task", "timer", …; null: nothing runs
    int number = -1;                    // the fd, signal or process that a callback is for; -1: none
    std::uint32_t dispatch = 0;         // counts what the hub began; what that runs by run_now() has the same number
    std::uint64_t id = 0;               // the task's
    char const* name = nullptr;         // the task's 32 bytes, while it runs; null where nobody gave it a name
};

// Written by the loop's thread, read by the watcher's, neither of which waits: Boehm's sequence lock ("Can seqlocks get
// along with programming language memory models?", MSPC 2012), with the order on the data itself instead of fences.
class stall_watch {
public:
    static constexpr std::size_t name_bytes = 32;

    // -- the loop's thread
    void begin(char const* kind, int number) noexcept { publish({kind, number, now_.dispatch + 1, 0, nullptr}); }
    void begin(handler_slot const& s) noexcept { begin(slot_noun(s.kind), slot_number(s)); }
    // A task; nested: by run_now(), inside what runs already.
    void begin_task(std::uint64_t id, char const* name, bool nested) noexcept {
        publish({"task", -1, now_.dispatch + (nested ? 0 : 1), id, name});
    }
    void end() noexcept { publish({nullptr, -1, now_.dispatch, 0, nullptr}); }
    running_now const& now() const noexcept { return now_; }
    void publish(running_now const& next) noexcept {
        now_ = next;
        constexpr auto order = std::memory_order_release;
        std::uint32_t const version = version_.load(std::memory_order_relaxed);
        version_.store(version + 1, std::memory_order_relaxed);
        kind_.store(next.kind, order);
        number_.store(next.number, order);
        dispatch_.store(next.dispatch, order);
        id_[0].store(static_cast<std::uint32_t>(next.id), order);
        id_[1].store(static_cast<std::uint32_t>(next.id >> 32), order);
        name_[0].store(0, order);
        for (std::size_t i = 0; next.name && i != name_words; ++i) {
            std::uintptr_t word;
            std::memcpy(&word, next.name + i * sizeof word, sizeof word);
            name_[i].store(word, order);
        }
        version_.store(version + 2, order);
    }

    // -- any thread. `name` gets a copy, which `out` names. false: it was being written just then.
    bool read(running_now& out, char (&name)[name_bytes]) const noexcept {
        constexpr auto order = std::memory_order_acquire;
        std::uint32_t const version = version_.load(order);
        out.kind = kind_.load(order);
        out.number = number_.load(order);
        out.dispatch = dispatch_.load(order);
        out.id = id_[0].load(order) | std::uint64_t{id_[1].load(order)} << 32;
        for (std::size_t i = 0; i != name_words; ++i) {
            std::uintptr_t const word = name_[i].load(order);
            std::memcpy(name + i * sizeof word, &word, sizeof word);
        }
        name[name_bytes - 1] = '\0';
        out.name = name;
        return (version & 1) == 0 && version_.load(std::memory_order_relaxed) == version;
    }

private:
    static constexpr std::size_t name_words = name_bytes / sizeof(std::uintptr_t);
    running_now now_;                              // the loop's own
    std::atomic<std::uint32_t> version_{0};        // odd while it is being written
    std::atomic<char const*> kind_{nullptr};
    std::atomic<int> number_{-1};
    std::atomic<std::uint32_t> dispatch_{0}, id_[2] = {};
    std::atomic<std::uintptr_t> name_[name_words] = {};
};

}}}  // namespace spruce::v0::detail
