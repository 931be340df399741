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

// What an access gave, until somebody looks: only that is noted which the code asks of it, and while it is kept it is
// a part of the state. So orders after which nobody knows anything else are one from there on.
template <class T> class glimpse {
public:
    explicit glimpse(T value) noexcept : value_(value) { keep(this, number_of(value_)); }
    glimpse(glimpse const&) = delete;
    glimpse& operator=(glimpse const&) = delete;
    ~glimpse() { let_go(this, number_of(value_)); }
    operator T() const noexcept {
        saw(number_of(value_));
        return value_;
    }
    T operator->() const noexcept { return value_; }   // where it is used, not what it is
    template <class U> friend bool operator==(glimpse const& a, U const& b) noexcept { return told(a.value_ == as_mine(b)); }
    template <class U> friend bool operator<(glimpse const& a, U const& b) noexcept { return told(a.value_ < as_mine(b)); }
    template <class U> friend bool operator>=(glimpse const& a, U const& b) noexcept { return told(a.value_ >= as_mine(b)); }
    template <class U> friend glimpse operator&(glimpse const& a, U const& b) noexcept { return glimpse(static_cast<T>(a.value_ & as_mine(b))); }
    template <class U> friend glimpse operator+(glimpse const& a, U const& b) noexcept { return glimpse(static_cast<T>(a.value_ + as_mine(b))); }
    template <class U> friend glimpse operator-(glimpse const& a, U const& b) noexcept { return glimpse(static_cast<T>(a.value_ - as_mine(b))); }
    template <class U> friend glimpse operator/(glimpse const& a, U const& b) noexcept { return glimpse(static_cast<T>(a.value_ / as_mine(b))); }
    T peek() const noexcept { return value_; }

private:
    template <class U> static T as_mine(U const& plain) noexcept { return static_cast<T>(plain); }
    static T as_mine(glimpse const& other) noexcept { return other.value_; }
    static bool told(bool answer) noexcept {
        saw(answer);
        return answer;
    }
    T value_;
};

template <class T> class stepping_atomic {
public:
    stepping_atomic(T value) noexcept : value_(value) { put(this, number_of(value_)); }
    stepping_atomic(stepping_atomic const&) = delete;
    stepping_atomic& operator=(stepping_atomic const&) = delete;
    ~stepping_atomic() {
        check();
        if (!spent_) drop(this, number_of(value_));
        alive_ = 0;
    }
    glimpse<T> load(std::memory_order = std::memory_order_seq_cst) const noexcept {
        step(this, access::read);
        check();
        if (spent_) wrong("what was left in an atomic is read, though it counts for nothing");
        saw(0);
        return glimpse<T>(value_);
    }
    void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        step(this, access::write);
        check();
        saw(0);
        set(value);
    }
    // What is only passed on is not looked at.
    void store(glimpse<T> const& value, std::memory_order = std::memory_order_seq_cst) noexcept { store(value.peek()); }
    glimpse<T> exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T) { return value; });
    }
    glimpse<T> fetch_add(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was + by); });
    }
    glimpse<T> fetch_sub(T by, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was - by); });
    }
    glimpse<T> fetch_and(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was & bits); });
    }
    glimpse<T> fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
        return change([&](T was) { return static_cast<T>(was | bits); });
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order = std::memory_order_seq_cst) noexcept {
        glimpse<T> const was = change([&](T held) { return held == expected ? wanted : held; });
        bool const did = was == expected;
        if (!did) expected = was;
        return did;
    }
    // Without a step: for conditions, and for looking on.
    T peek() const noexcept { return value_; }
    // What it holds counts for nothing from here on: nobody reads it before it is written anew, else that is told.
    void spend() noexcept {
        if (!spent_) drop(this, number_of(value_));
        spent_ = true;
    }

private:
    template <class F> glimpse<T> change(F&& to) noexcept {
        step(this, access::write);
        check();
        if (spent_) wrong("what was left in an atomic is read, though it counts for nothing");
        saw(0);
        T const was = value_;
        if (broken.torn) {
            saw(number_of(was));
            step(this, access::write);
            saw(0);
        }
        set(to(was));
        return glimpse<T>(was);
    }
    void set(T value) noexcept {
        if (broken.deaf == this || (value == value_ && !spent_)) return;
        if (!spent_) drop(this, number_of(value_));
        spent_ = false;
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
    bool spent_ = false;
};

}  // namespace explorer
