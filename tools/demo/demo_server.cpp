#include "demo_server.hpp"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

extern "C" char** environ;

namespace demo {

using namespace std::chrono_literals;

namespace {

// Starts the program with its stdout on `output`, and with the signals of a program that a shell has started: the
// hub's thread blocks SIGPIPE, and a child would inherit that. 0, or the errno.
int spawn_child(char const* const* words, int output, pid_t& pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (int sig : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&defaults, sig);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int failed = ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (failed == 0) failed = ::posix_spawn(&pid, words[0], &actions, &attributes, const_cast<char**>(words), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    return failed;
}

}  // namespace

spruce::result<void> demo_server::start(char const* program, char const* folder, unsigned threads) {
    SPRUCE_TRY(auto& hub, spruce::loop::current());
    int ends[2];
    if (::pipe(ends) != 0) return spruce::error::from_errno(errno);
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    std::string count = std::to_string(threads);
    char const* words[] = {program, "--port", "0", "--threads", count.c_str(), folder, nullptr};
    pid_t pid = 0;
    int failed = spawn_child(words, ends[1], pid);
    ::close(ends[1]);
    if (failed != 0) {
        ::close(ends[0]);
        return spruce::error::from_errno(failed);
    }
    pid_ = pid;
    SPRUCE_TRY(auto handler, hub.add_child_handler(pid, [this](spruce::result<spruce::exit_status> status) {
        status_ = status;
        ended_.set();
    }));
    on_end_ = spruce::scoped_handler(handler);

    SPRUCE_TRY(auto output, spruce::stream::adopt(ends[0]));
    spruce::reader lines(output);
    SPRUCE_TRY(auto line, lines.read_line(spruce::in(5s)));
    first_line_ = line;
    auto begin = first_line_.find("http://"), end = first_line_.find('/', begin + 7);
    if (begin == std::string::npos || end == std::string::npos) return spruce::errc::broken;
    SPRUCE_TRY(address_, spruce::address::parse(first_line_.substr(begin + 7, end - begin - 7)));
    return {};
}

spruce::result<void> demo_server::send_signal(int sig) noexcept {
    if (pid_ == 0 || ended_.is_set()) return spruce::errc::wrong_state;
    if (::kill(pid_, sig) != 0) return spruce::error::from_errno(errno);
    return {};
}

spruce::result<spruce::exit_status> demo_server::wait(spruce::deadline dl) {
    SPRUCE_CHECK(ended_.wait(dl));
    return status_;
}

demo_server::~demo_server() {
    spruce::cancel_shield even_when_canceled;
    if (send_signal(SIGKILL)) (void)wait(spruce::in(2s));
}

}  // namespace demo
