// Becoming a daemon: what is asked first.
#include <cstring>

#include <spruce/process.hpp>

#include "../loop/hub.hpp"
#include "../sys/daemon_process.hpp"
#include "../sys/kernel_error.hpp"

namespace spruce { inline namespace v0 {

result<fork_side> daemonize(std::string_view pidfile) {
    using namespace detail;
    if (living_loops() != 0)
        return with_detail(errc::wrong_state, "a loop lives: become a daemon before the first one");
    char path[4096];
    if (pidfile.size() >= sizeof path) return with_detail(errc::too_long, "pidfile");
    if (pidfile.find('\0') != pidfile.npos)
        return with_detail(errc::invalid_argument, "pidfile: a null character in it");
    if (!pidfile.empty()) std::memcpy(path, pidfile.data(), pidfile.size());   // of none there may be no address
    path[pidfile.size()] = '\0';
    daemon_answer const got = become_daemon(pidfile.empty() ? nullptr : path);
    if (got.is_held) return with_detail(errc::already_registered, got.what);
    if (got.failed != 0) return with_detail(kernel_error(got.failed), got.what);
    return got.child ? fork_side::child : fork_side::parent;
}

}}  // namespace spruce::v0
