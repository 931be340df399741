// What the sources of this floor have in common.
#include "waiters.hpp"

namespace spruce { inline namespace v0 { namespace detail {

waiter_list::waiter_list() noexcept { ::new (static_cast<void*>(head)) intrusive_list<parked>; }

memory_hook memory_here() noexcept { return current_hub ? current_hub->options.memory : memory_hook(); }

}}}  // namespace spruce::v0::detail
