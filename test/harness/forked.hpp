// A body run in a forked child: how it ended, and what it wrote to stderr. For what a must-die test cannot ask.
#pragma once
#include <cerrno>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.hpp"

namespace harness {

struct ended {
    int status = 0;
    std::string said{};
    bool says(char const* text) const { return said.find(text) != std::string::npos; }
    // By a signal, or as a sanitizer ends a process instead.
    bool died() const { return WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 99); }
    bool died_by(int signal) const {
        return WIFSIGNALED(status) ? WTERMSIG(status) == signal : WIFEXITED(status) && WEXITSTATUS(status) == 99;
    }
};

template <class F> ended forked(F&& body) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::dup2(ends[1], 2);
        ::close(ends[0]);
        ::close(ends[1]);
        body();
        ::_exit(0);
    }
    ::close(ends[1]);
    ended e;
    char room[4096];
    for (;;) {
        ssize_t const n = ::read(ends[0], room, sizeof room);
        if (n > 0) e.said.append(room, static_cast<std::size_t>(n));
        else if (n == 0 || errno != EINTR) break;
    }
    ::close(ends[0]);
    while (::waitpid(child, &e.status, 0) < 0 && errno == EINTR) {}
    return e;
}

}  // namespace harness
