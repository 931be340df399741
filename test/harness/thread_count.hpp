// How many threads this process has.
#pragma once
#include <cstdio>
#include <dirent.h>
#include <sched.h>
#include <thread>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "harness.hpp"

namespace harness {

// A thread that begins and is gone: a join comes back a moment before the kernel has forgotten the thread, and until
// then it would be counted.
inline bool begin_and_end_a_thread() {
#if defined(__linux__)
    long id = 0;
    std::thread([&] { id = ::syscall(SYS_gettid); }).join();
    while (::syscall(SYS_tgkill, ::getpid(), id, 0) == 0) ::sched_yield();
#else
    std::thread([] {}).join();
#endif
    return true;
}

inline int threads() {
    // A sanitizer may have a thread of its own, which begins with the program's first.
    static bool const begun = begin_and_end_a_thread();
    static_cast<void>(begun);
    DIR* const dir = ::opendir("/proc/self/task");
    if (!dir) skip("no /proc");
    int count = 0;
    while (dirent const* const e = ::readdir(dir)) count += e->d_name[0] != '.';
    ::closedir(dir);
    return count;
}

// Whether there come to be so many: one that was joined may be seen for a moment yet.
inline bool threads_become(int wanted) {
    for (int i = 0; i != 100'000; ++i) {
        if (threads() == wanted) return true;
        ::sched_yield();
    }
    std::printf("  %d threads, not %d\n", threads(), wanted);
    return false;
}

}  // namespace harness
