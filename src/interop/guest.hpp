// A loop's run inside a foreign one: where it is between its beginning and its end, which it comes to by turns that the
// host gives it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../loop/hub.hpp"
#include "../sys/poll_thread.hpp"

namespace spruce { inline namespace v0 { namespace detail {

enum class guest_stage : std::uint8_t {
    starting,            // the first start hooks have run, and a hold may delay the others
    running,             // until stop()
    shutting_down,       // hooks of `phase` have run, and a hold may delay the next
    ending_background,   // background tasks are canceled, and have until `until_ns`
    over
};

struct guest {
    poll_thread* thread = nullptr;
    void* post = nullptr;                // the callable, behind this block
    callable_ops const* post_ops = nullptr;
    guest_stage stage = guest_stage::starting;
    int phase = 0;
    std::int64_t until_ns = no_time;
    int refused_with = 0;                // what the poller says for the time being, 0 or -errno: the hook knows of it
    bool pauses = false;                 // the next sleep is a pause: the turn's poll was refused
    std::size_t bytes = 0, alignment = 0;   // of the block
};

// -- guest_run.cpp: the run, one step after another, as far as it comes without a turn. Within a running_scope.
void begin_run(hub& h) noexcept;
// At the end of each turn. false: the run is over.
bool go_on(hub& h) noexcept;
// When the next turn is due at the latest, whatever else there is.
inline std::int64_t next_step_ns(guest const& g) noexcept {
    return g.stage == guest_stage::ending_background ? g.until_ns : no_time;
}
}}}  // namespace spruce::v0::detail
