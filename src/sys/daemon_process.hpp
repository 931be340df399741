// The system calls of becoming a daemon.
#pragma once

namespace spruce { inline namespace v0 { namespace detail {

struct daemon_answer {
    int failed = 0;           // 0, or -errno
    char const* what = "";    // what failed, if so
    bool child = false;       // this is the daemon
    bool is_held = false;     // somebody holds the pidfile
};

// pidfile: null for none. Everything that can fail is told to the process that called.
daemon_answer become_daemon(char const* pidfile) noexcept;

}}}  // namespace spruce::v0::detail
