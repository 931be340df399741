#include "guest_runs.hpp"

#include <cstdio>
#include <cstdlib>

#include "../../src/loop/hub.hpp"
#include "queue_host.hpp"

namespace harness {

namespace {
host_kind* kinds = nullptr;
host_kind const* chosen_kind = nullptr;

queue_host& queue_of(void* host) { return *static_cast<queue_host*>(host); }
host_kind queue_kind{"queue", [] { return static_cast<void*>(new queue_host); },
                     [](void* host, spruce::host_turn turn) { queue_of(host).post()(std::move(turn)); },
                     [](void* host) { return queue_of(host).step(std::chrono::seconds(300)); },
                     [](void* host) { delete &queue_of(host); }};
bool const offered = (offer_host(queue_kind), true);

// The host's loop. As run() does, it ends when nothing holds the guest any more, unless it is to go on for ever.
spruce::result<void> run_as_guest(spruce::detail::hub& h, bool for_ever) noexcept {
    void* const host = chosen_kind->make();
    std::uint32_t const serial = h.serial;
    auto const is_there = [&] { return spruce::detail::current_hub == &h && h.serial == serial; };
    bool ran_dry = false;
    spruce::result<void> outcome = h.owner.interleave([host](spruce::host_turn turn) { chosen_kind->post(host, std::move(turn)); });
    while (outcome && is_there() && h.visiting.guest) {
        if (!for_ever && !ran_dry && h.owner.state() == spruce::loop_state::running && !spruce::detail::is_held(h)) {
            ran_dry = true;
            outcome = h.owner.stop();
        } else if (!chosen_kind->step(host)) {
            std::fputs("the host is never called by its guest\n", stderr);
            std::abort();
        }
    }
    if (!is_there()) ran_dry = false;
    chosen_kind->end(host);
    if (outcome && ran_dry && h.ext && h.ext->unfinished(h) != 0 && !spruce::detail::is_held(h)) return spruce::detail::stuck(h);
    return outcome;
}
}  // namespace

void offer_host(host_kind& kind) {
    kind.next = kinds;
    kinds = &kind;
}

bool run_in_host(std::string_view name) {
    for (chosen_kind = kinds; chosen_kind && name != chosen_kind->name; chosen_kind = chosen_kind->next) {}
    if (chosen_kind) spruce::detail::run_instead = run_as_guest;
    return chosen_kind;
}

}  // namespace harness
