#include "signal_end.hpp"

#include <csignal>
#include <pthread.h>
#include <unistd.h>

namespace spruce { inline namespace v0 { namespace detail {

void end_by_signal(int signal) noexcept {
    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL;
    sigset_t only;
    sigemptyset(&only);
    // Out of the range of signals all of these fail, and it goes by the exit code.
    if (::sigaction(signal, &by_default, nullptr) == 0 && sigaddset(&only, signal) == 0) {
        ::raise(signal);
        ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);   // where it was blocked it comes now
    }
    ::_exit((128 + signal) & 0xff);
}

}}}  // namespace spruce::v0::detail
