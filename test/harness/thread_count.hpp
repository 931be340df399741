// How many threads this process has.
#pragma once
#include <dirent.h>
#include <sched.h>
#include <thread>

#include "harness.hpp"

namespace harness {

inline int threads() {
    // A sanitizer may have a thread of its own, which begins with the program's first.
    static bool const begun = (std::thread([] {}).join(), true);
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
    return false;
}

}  // namespace harness
