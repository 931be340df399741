// SIGSEGV and SIGBUS, looked at on their way to whoever handles them. Process-wide, and only while somebody asks.
#pragma once
#include <cstddef>

namespace spruce { inline namespace v0 { namespace detail {

// Writes what there is to say of a fault at this address into `line`. Returns: how many bytes; 0: it knows nothing of
// it. Called in a signal handler, on the thread that faulted: it may neither wait nor allocate.
using fault_teller = std::size_t (*)(void const* address, char* line, std::size_t room) noexcept;

// From faults_begin() to faults_end() what `tell` says of a fault goes to stderr; then the fault goes on as without
// us: to the handler that was there before, or to the default, which ends the process by the signal. The calls are
// counted, with one teller for all. The last end puts the former handlers back, where nobody has put his own over
// ours; there ours stays, and only passes on. 0, or -errno. Thread: any.
int faults_begin(fault_teller tell) noexcept;
void faults_end() noexcept;

}}}  // namespace spruce::v0::detail
