// Processes. So far: becoming a daemon, and ending as a signal would.
#pragma once
#include <cstdint>
#include <string_view>

#include <spruce/result.hpp>

namespace spruce { inline namespace v0 {

// Which of the two processes daemonize() has come back in.
enum class fork_side : std::uint8_t { parent, child };

// Goes on in the background: in a new process, in a session of its own that can get no terminal, with / as its working
// directory and /dev/null as its standard input, output and errors. umask, signals and all other fds stay as they are;
// what stdio's streams hold is written first. With a pidfile, a path, that file then has the new process's number, in
// decimals with a line's end, and is locked (flock) for as long as the daemon lives; it stays when the daemon ends,
// without its lock. A file that is there already is written anew, if it is not locked.
// Returns: child, in the daemon. parent, in the process that called, once the daemon has done all this; it should end
// then. The process in between has ended. Errors, all given to the caller, and no daemon runs: wrong_state while a loop
// lives, on any thread; already_registered if a process holds the pidfile; invalid_argument if its name has a null
// character, too_long; no_memory, an errno.
// Thread: the only one: no other of the process's threads lives on in the daemon.
[[nodiscard]] SPRUCE_API result<fork_side> daemonize(std::string_view pidfile = {});

// Ends the process as the signal does that has no handler, so that its parent sees what it died of; for
// programs that a signal has stopped, once they have tidied up: `if (int sig = l.stop_signal()) die_of(sig);`. What
// stdio's streams hold is written first. A signal that ends no process, or does not exist, ends it with exit code 128 +
// signal. Thread: any.
[[noreturn]] SPRUCE_API void die_of(int signal) noexcept;

}}  // namespace spruce::v0
