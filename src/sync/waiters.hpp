// The list of those who wait for a source, as the sources of this floor keep it.
#pragma once
#include <new>

#include <spruce/detail/waiter_list.hpp>

#include "../task/scheduler.hpp"
#include "../task/wait_core.hpp"

namespace spruce { inline namespace v0 { namespace detail {

static_assert(sizeof(intrusive_list<parked>) == sizeof(waiter_list::head), "room for the head of a list");

inline intrusive_list<parked>& waiters(waiter_list& l) noexcept {
    return *std::launder(reinterpret_cast<intrusive_list<parked>*>(l.head));
}
inline intrusive_list<parked> const& waiters(waiter_list const& l) noexcept {
    return *std::launder(reinterpret_cast<intrusive_list<parked> const*>(l.head));
}

}}}  // namespace spruce::v0::detail
