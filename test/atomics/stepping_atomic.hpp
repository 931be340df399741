// An atomic each of whose operations is a step of the explorer's. It also breaks itself on demand, so that tests can
// see that what would go wrong then is found.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "explorer.hpp"

namespace explorer {

// What is broken, of all atomics or of one.
struct breakage {
    bool torn = false;              // reading and writing in one are two steps
    void const* deaf = nullptr;     // this one keeps what it held
};
inline breakage broken;

template <class T> std::uint64_t number_of(T value) noexcept {
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<std::uintptr_t>(value);
    else return static_cast<std::uint64_t>(value);
}

template <class T> class stepping_atomic {
public:
    stepping_atomic(T value) noexcept : value_(value) { put(this, number_of(value_)); }
    stepping_atomic(stepping_atomic const&) = delete;
    stepping_atomic& operator=(stepping_atomic const&) = delete;
    ~stepping_atomic() {
        check();
        drop(this, number_of(value_));
        alive_ = 0;
    }
    T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
        step(this);
        check();
        saw(number_of(value_));
        return value_;
    }
    void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        step(this);
        check();
        saw(0);
        set(value);
    }
    T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T) { return value; });
    }
    T fetch_add(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was + by); });
    }
    T fetch_sub(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was - by); });
    }
    T fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was | bits); });
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order = std::memory_order_seq_cst) noexcept {
        T const was = change([&](T held) { return held == expected ? wanted : held; });
        bool const did = was == expected;
        expected = was;
        return did;
    }
    // Without a step: for conditions, and for looking on.
    T peek() const noexcept { return value_; }

private:
    template <class F> T change(F&& to) noexcept {
        step(this);
        check();
        T const was = value_;
        saw(number_of(was));
        T const becomes = to(was);
        if (broken.torn) {
            step(this);
            saw(0);
        }
        set(becomes);
        return was;
    }
    void set(T value) noexcept {
        if (broken.deaf == this || value == value_) return;
        drop(this, number_of(value_));
        value_ = value;
        put(this, number_of(value_));
    }
    // Its memory is not used again within a run, so this word tells.
    void check() const noexcept {
        if (alive_ != token) wrong("an atomic was used before or after its life");
    }
    static constexpr std::uint32_t token = 0x51ee9;
    T value_;
    std::uint32_t alive_ = token;
};

}  // namespace explorer
