// Faults that are no overflow of a task's stack: none is called one, and each goes on to where it went before.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <thread>

#include "../../src/sys/mapping.hpp"
#include "../../src/task/scheduler.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
using byte_pointer = char volatile*;

byte_pointer mapping_of(std::size_t bytes, int protection) {
    void* const at = ::mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<byte_pointer>(at);
}
std::size_t page() { return detail::page_size(); }

byte_pointer bottom_of(detail::task_block& t) {
    return reinterpret_cast<byte_pointer>(detail::stack_pool::bottom_of(t.size_class, t.top()));
}
// A task's block, by its handle's id: the one that waits under the name.
detail::task_block* block_named(char const* name) {
    detail::task_block* found = nullptr;
    if (!detail::current_scheduler) return found;
    detail::current_scheduler->arena->pool.for_each([&](detail::stack_class, detail::stack_ref stack) {
        auto& t = *reinterpret_cast<detail::task_block*>(stack.top - sizeof(detail::task_block));
        if (t.state == detail::task_state::waiting && t.named && std::strcmp(t.name, name) == 0) found = &t;
    });
    return found;
}
// Of a stack that was given back: its task has ended, and nobody keeps it.
byte_pointer bottom_of_free() {
    byte_pointer found = nullptr;
    if (!detail::current_scheduler) return found;
    detail::current_scheduler->arena->pool.for_each([&](detail::stack_class, detail::stack_ref stack) {
        auto& t = *reinterpret_cast<detail::task_block*>(stack.top - sizeof(detail::task_block));
        if (t.state == detail::task_state::unused) found = reinterpret_cast<byte_pointer>(stack.bottom);
    });
    return found;
}
void forbid(byte_pointer at, std::size_t bytes) { ::mprotect(const_cast<char*>(at), bytes, PROT_NONE); }

struct fault {
    char const* what;
    void (*make)();
};
void write_to(byte_pointer at) {
    if (at) *at = 1;
    else ::_exit(3);   // what the case needs is not there
}
char volatile sink;
// The machine's fault is wanted, not a sanitizer's word on it.
__attribute__((no_sanitize("undefined"))) void peek(byte_pointer at) { sink = *at; }
__attribute__((no_sanitize("undefined"))) void poke(byte_pointer at) { *at = 1; }

constexpr fault anywhere[] = {
    {"a null pointer read", [] { byte_pointer volatile p = nullptr; peek(p); }},
    {"a null pointer written", [] { byte_pointer volatile p = nullptr; poke(p); }},
    {"a null function", [] { void (*volatile f)() = nullptr; f(); }},
    {"a member of a null object", [] { byte_pointer volatile p = reinterpret_cast<byte_pointer>(0x128); peek(p); }},
    {"a low address", [] { byte_pointer volatile p = reinterpret_cast<byte_pointer>(0x1000); *p = 1; }},
    {"an address that is no address", [] {
        byte_pointer volatile p = reinterpret_cast<byte_pointer>(~std::uintptr_t{0} / 3);
        *p = 1;
    }},
    {"the last address", [] { byte_pointer volatile p = reinterpret_cast<byte_pointer>(~std::uintptr_t{0}); sink = *p; }},
    {"a page nobody may touch", [] { write_to(mapping_of(page(), PROT_NONE)); }},
    {"a page that is only read", [] { write_to(mapping_of(page(), PROT_READ)); }},
    {"a page that was unmapped", [] {
        byte_pointer const p = mapping_of(page(), PROT_READ | PROT_WRITE);
        ::munmap(const_cast<char*>(p), page());
        write_to(p);
    }},
    {"data that is run", [] {
        byte_pointer const p = mapping_of(page(), PROT_READ | PROT_WRITE);
        reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(p))();
    }},
    {"a file mapped beyond its end", [] {
        int const fd = ::open("/proc/self/exe", O_RDONLY);
        auto const size = static_cast<std::size_t>(::lseek(fd, 0, SEEK_END));
        void* const at = ::mmap(nullptr, size + 4 * page(), PROT_READ, MAP_PRIVATE, fd, 0);
        sink = static_cast<byte_pointer>(at)[size + 2 * page()];
    }},
    {"raise(SIGSEGV)", [] { ::raise(SIGSEGV); }},
    {"raise(SIGBUS)", [] { ::raise(SIGBUS); }},
    {"kill with SIGSEGV", [] { ::kill(::getpid(), SIGSEGV); }},
    {"kill with SIGBUS", [] { ::kill(::getpid(), SIGBUS); }},
    {"sigqueue with an address", [] {
        sigval v{};
        v.sival_ptr = detail::current_scheduler;
        ::sigqueue(::getpid(), SIGSEGV, v);
    }},
    {"a trap", [] { __builtin_trap(); }},
    {"abort()", [] { std::abort(); }},
};
constexpr fault with_tasks[] = {
    {"a guard of a task that waits", [] { auto* t = block_named("neighbour"); write_to(t ? bottom_of(*t) - 1 : nullptr); }},
    {"a guard's far end of a task that waits", [] {
        auto* t = block_named("neighbour");
        write_to(t ? bottom_of(*t) - detail::guard_bytes : nullptr);
    }},
    {"a guard of a stack that was given back", [] { byte_pointer b = bottom_of_free(); write_to(b ? b - 8 : nullptr); }},
    {"another thread's task's guard", [] {
        auto* t = block_named("neighbour");
        std::thread([t] { write_to(t ? bottom_of(*t) - 1 : nullptr); }).join();
    }},
};
constexpr fault in_a_task[] = {
    {"the first byte below its guard", [] {
        byte_pointer const below = bottom_of(*detail::current_scheduler->current) - detail::guard_bytes - page();
        if (::mmap(const_cast<char*>(below), page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) ::_exit(3);
        write_to(below + page() - 1);
    }},
    {"the last byte that its stack has", [] {
        byte_pointer const bottom = bottom_of(*detail::current_scheduler->current);
        forbid(bottom, page());
        write_to(bottom);
    }},
    {"its own code", [] { write_to(reinterpret_cast<byte_pointer>(reinterpret_cast<std::uintptr_t>(&::getpid))); }},
    {"its guard, read by the kernel: an error and no fault", [] {
        byte_pointer const bottom = bottom_of(*detail::current_scheduler->current);
        if (::write(2, const_cast<char*>(bottom - 16), 8) >= 0 || errno != EFAULT) ::_exit(4);
        ::raise(SIGSEGV);
    }},
};

// Where it happens. Each makes its loop, a task that waits, and one that has ended.
using place = void (*)(void (*)());
template <class F> void beside_tasks(F&& f) {
    static_cast<void>(run([&] {
        auto neighbour = spawn({.name = "neighbour"}, [] { return sleep_for(10s).ok(); });
        static_cast<void>(spawn([] {}).join());
        static_cast<void>(yield());
        f();
        static_cast<void>(sleep_for(10s));
    }));
}
constexpr place places_in_tasks[] = {
    [](void (*make)()) { beside_tasks([make] { make(); }); },
    [](void (*make)()) {
        beside_tasks([make] {
            auto t = spawn({.name = "inner", .stack_size = 64 << 10}, [make] { make(); });
            static_cast<void>(run_now(t));
        });
    },
};
constexpr place places_with_tasks[] = {
    places_in_tasks[0],
    [](void (*make)()) { beside_tasks([make] { loop::current()->call_soon([make] { make(); }); }); },
};
constexpr place places_anywhere[] = {
    places_in_tasks[0],
    places_in_tasks[1],
    places_with_tasks[1],
    [](void (*make)()) { make(); },
    [](void (*make)()) { std::thread([make] { make(); }).join(); },
};

void expect_no_overflow(fault const& f, place where) {
    auto const e = harness::forked([&] {
        auto const reports = debug::report_overflows();
        if (!reports) ::_exit(5);
        where(f.make);
    });
    CHECK(e.died());
    CHECK(!e.says("overflowed"));
    if (!e.died() || e.says("overflowed")) std::printf("%s: status %d, %s\n", f.what, e.status, e.said.c_str());
}

void say(char const* text) { static_cast<void>(!::write(2, text, std::strlen(text))); }
}  // namespace

TEST_FOR(120, "about a hundred faults of other kinds are not called an overflow, and end the process all the same") {
    std::size_t all = 0;
    for (place const where : places_anywhere)
        for (fault const& f : anywhere) expect_no_overflow(f, where), ++all;
    for (place const where : places_with_tasks)
        for (fault const& f : with_tasks) expect_no_overflow(f, where), ++all;
    for (place const where : places_in_tasks)
        for (fault const& f : in_a_task) expect_no_overflow(f, where), ++all;
    CHECK(all >= 100);
}

TEST("the last byte of the guard of the task that runs is an overflow: the control of the others") {
    for (std::size_t const below : {std::size_t{1}, detail::guard_bytes}) {
        static std::size_t distance;
        distance = below;
        auto const e = harness::forked([] {
            auto const reports = debug::report_overflows();
            beside_tasks([] { write_to(bottom_of(*detail::current_scheduler->current) - distance); });
        });
        CHECK(e.died());
        CHECK(e.says("overflowed"));
    }
}

TEST("a handler that was there before gets the fault as it was: address, mask and flags") {
    auto const e = harness::forked([] {
        static char volatile* volatile where;   // read by the handler
        struct sigaction a {};
        a.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaddset(&a.sa_mask, SIGUSR2);
        a.sa_sigaction = [](int, siginfo_t* info, void* context) {
            sigset_t now;
            ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
            bool const right = info->si_addr == where && context && sigismember(&now, SIGUSR2) && sigismember(&now, SIGSEGV);
            say(right ? "as it was\n" : "changed\n");
            ::_exit(7);
        };
        ::sigaction(SIGSEGV, &a, nullptr);
        auto const reports = debug::report_overflows();
        where = mapping_of(page(), PROT_NONE);
        beside_tasks([] { *where = 1; });
    });
    CHECK(WIFEXITED(e.status) && WEXITSTATUS(e.status) == 7);
    CHECK_EQ(e.said, std::string("as it was\n"));
}

TEST("a handler that mends the fault goes on, and one for a single signal gets a single one") {
    auto const e = harness::forked([] {
        static char volatile* volatile where;   // read by the handler
        struct sigaction a {};
        a.sa_flags = static_cast<int>(SA_RESETHAND);
        a.sa_handler = [](int) {
            say("mended\n");
            ::mprotect(const_cast<char*>(where), page(), PROT_READ | PROT_WRITE);
        };
        ::sigaction(SIGSEGV, &a, nullptr);
        auto const reports = debug::report_overflows();
        where = mapping_of(page(), PROT_NONE);
        *where = 1;
        say("on\n");
        forbid(where, page());
        *where = 1;
        say("not reached\n");
    });
    CHECK(e.died_by(SIGSEGV));
    CHECK_EQ(e.said.substr(0, 10), std::string("mended\non\n"));
    CHECK(!e.says("not reached"));
}

TEST("a signal that was ignored stays so when it is sent, and a fault ends the process even then") {
    auto const e = harness::forked([] {
        ::signal(SIGSEGV, SIG_IGN);
        auto const reports = debug::report_overflows();
        ::raise(SIGSEGV);
        say("lives\n");
        write_to(mapping_of(page(), PROT_NONE));
    });
    CHECK(e.died_by(SIGSEGV));
    CHECK_EQ(e.said, std::string("lives\n"));
}

TEST("the last token's end puts back what was there, unless somebody has put his own over it") {
    auto const handler = [](int) {};
    auto const now = [] {
        struct sigaction a {};
        ::sigaction(SIGSEGV, nullptr, &a);
        return (a.sa_flags & SA_SIGINFO) != 0 ? nullptr : a.sa_handler;
    };
    ::signal(SIGSEGV, +handler);
    {
        auto const reports = debug::report_overflows();
        CHECK(now() == nullptr);
    }
    CHECK(now() == +handler);
    void (*const theirs)(int) = [](int) { ::_exit(1); };
    {
        auto const reports = debug::report_overflows();
        ::signal(SIGSEGV, theirs);
    }
    CHECK(now() == theirs);
    ::signal(SIGSEGV, SIG_DFL);
}

TEST("reports that were put under another handler begin anew once nobody handles the signal any more") {
    struct sigaction before {}, now {};
    REQUIRE(::sigaction(SIGBUS, nullptr, &before) == 0);
    {
        auto const first = debug::report_overflows();
        REQUIRE(first.ok());
        struct sigaction mine {};
        mine.sa_handler = [](int) {};
        CHECK(::sigaction(SIGBUS, &mine, nullptr) == 0);
    }
    struct sigaction none {};
    none.sa_handler = SIG_DFL;
    CHECK(::sigaction(SIGBUS, &none, nullptr) == 0);
    {
        auto const again = debug::report_overflows();
        CHECK(again.ok() && ::sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0);
    }
    CHECK(::sigaction(SIGBUS, nullptr, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK(::sigaction(SIGBUS, &before, nullptr) == 0);
}
