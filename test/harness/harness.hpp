// A small test runner: every test in a process of its own, with a time limit, and its balances checked afterwards.
// Works without exceptions and RTTI. A test's name is a sentence that says how the library behaves.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace harness {

struct test_case {
    char const* name;
    char const* file;
    void (*body)();
    char const* dies_with = nullptr;    // a must-die test: what its stderr must contain
    int time_limit_s = 20;
    bool hidden = false;                // run only when asked for by its whole name: the harness's own tests do
    test_case* next = nullptr;
    test_case(char const* name, char const* file, void (*body)(), char const* dies_with, int time_limit_s, bool hidden) noexcept;
};

// -- for tests

// The seed of this run: printed when a test fails, given again by --seed.
std::uint64_t seed() noexcept;
// Whether campaigns run at their nightly length (--length nightly).
bool nightly() noexcept;
// The value of a run-time axis (--poller, --waker, --signals, --kernel, --host), or "" for the default.
std::string_view option(std::string_view axis) noexcept;
// Whether the run's system calls are interrupted all the time, transfers cut short, or calls refused (spoiled.hpp).
bool interrupted() noexcept;
bool cut_short() noexcept;
bool spoilt_kernel() noexcept;
// Ends the test, which counts as skipped, with the reason.
[[noreturn]] void skip(char const* why) noexcept;
// Ends the test here, passed if all its checks held; without the balances, for what is left behind on purpose.
[[noreturn]] void pass() noexcept;
// Tells the runner of something that must be the same after a test as before: fds are counted by itself.
void on_balance(char const* what, long (*count)() noexcept) noexcept;

// Refuses the `at`-th call that is counted; 0: none. Set calls to 0 to count anew.
struct refusals {
    std::uint64_t calls = 0, at = 0;
};
refusals& refused_allocations() noexcept;     // of the library's memory
refusals& refused_mapping_calls() noexcept;   // of its mappings: made, guarded, asked about
long memory_blocks() noexcept;                // that the library holds
long live_mappings() noexcept;
long memory_calls_here() noexcept;            // taken and given back by the calling thread

// A generator for random tests: seeded, the same on every machine.
class random {
public:
    explicit random(std::uint64_t seed) noexcept : state_(seed * 2 + 1) {}
    std::uint64_t next() noexcept;
    std::uint64_t below(std::uint64_t bound) noexcept { return bound ? next() % bound : 0; }
    bool chance(unsigned percent) noexcept { return below(100) < percent; }

private:
    std::uint64_t state_;
};

// -- for the macros
void note_check() noexcept;
void fail(char const* file, int line, char const* what) noexcept;
void fail_equal(char const* file, int line, char const* what, long long left, long long right) noexcept;
void fail_text(char const* file, int line, char const* what, std::string_view left, std::string_view right) noexcept;
[[noreturn]] void give_up() noexcept;

template <class T> long long shown(T const& value) noexcept {
    if constexpr (std::is_enum_v<T> || std::is_arithmetic_v<T>) return static_cast<long long>(value);
    else return 0;
}
template <class A, class B> bool check_equal(char const* file, int line, char const* what, A const& a, B const& b) noexcept {
    note_check();
    if constexpr (std::is_convertible_v<A const&, std::string_view> && std::is_convertible_v<B const&, std::string_view>) {
        std::string_view const left = a, right = b;
        if (left == right) return true;
        fail_text(file, line, what, left, right);
        return false;
    } else if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && std::is_signed_v<A> != std::is_signed_v<B>) {
        if (static_cast<long long>(a) == static_cast<long long>(b)) return true;
        fail_equal(file, line, what, shown(a), shown(b));
        return false;
    } else {
        if (a == b) return true;
        fail_equal(file, line, what, shown(a), shown(b));
        return false;
    }
}

}  // namespace harness

#define HARNESS_JOIN2(a, b) a##b
#define HARNESS_JOIN(a, b) HARNESS_JOIN2(a, b)
#define HARNESS_TEST(name, dies, limit, hidden)                                                          \
    static void HARNESS_JOIN(test_body_, __LINE__)();                                                    \
    static ::harness::test_case HARNESS_JOIN(test_case_, __LINE__)(name, __FILE__, HARNESS_JOIN(test_body_, __LINE__), \
                                                                   dies, limit, hidden);                 \
    static void HARNESS_JOIN(test_body_, __LINE__)()

// TEST("a sentence") { … }
#define TEST(name) HARNESS_TEST(name, nullptr, 20, false)
// With another time limit, in seconds; for campaigns.
#define TEST_FOR(seconds, name) HARNESS_TEST(name, nullptr, seconds, false)
// The process must die by a signal, and say `text` on stderr ("" for nothing in particular).
#define TEST_DIES(name, text) HARNESS_TEST(name, text, 20, false)
// Not run by itself.
#define TEST_HIDDEN(name) HARNESS_TEST(name, nullptr, 2, true)

// Fails the test, and goes on.
#define CHECK(...)                                                          \
    do {                                                                    \
        ::harness::note_check();                                            \
        if (!(__VA_ARGS__)) ::harness::fail(__FILE__, __LINE__, #__VA_ARGS__); \
    } while (false)
#define CHECK_EQ(a, b) static_cast<void>(::harness::check_equal(__FILE__, __LINE__, #a " == " #b, a, b))
// Fails the test, and ends it.
#define REQUIRE(...)                                                \
    do {                                                            \
        ::harness::note_check();                                    \
        if (!(__VA_ARGS__)) {                                       \
            ::harness::fail(__FILE__, __LINE__, #__VA_ARGS__);      \
            ::harness::give_up();                                   \
        }                                                           \
    } while (false)
