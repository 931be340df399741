#include "fd_wait.hpp"

#include "../task/scheduler.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
struct fd_wait : parked, listener {
    fd_wait(fd_entry& of, bool write_, char const* noun_) noexcept
        : parked(noun_, true), listener(told), entry(of), write(write_) {
        abandon = [](parked& self) noexcept {
            auto& w = static_cast<fd_wait&>(self);
            current_hub->fds.unawait(w.entry, w.write, w);
        };
    }
    static void told(listener& self, unsigned what) noexcept {
        auto& w = static_cast<fd_wait&>(self);
        if ((what & told_closed) != 0) wake_failed(w, errc::closed);
        else wake(w);
    }
    fd_entry& entry;
    bool write;
};
}  // namespace

result<void> why_unusable(stream_core const& c) noexcept {
    if (c.fd < 0) return errc::closed;
    if (current_hub && current_hub->serial == c.serial)
        return c.entry->owners == c.owner ? result<void>() : errc::closed;
    return remote_alive(c.door) ? errc::wrong_thread : errc::closed;
}

result<void> wait_ready(stream_core const& c, bool write, char const* noun, deadline& dl) noexcept {
    hub& h = *current_hub;
    if (dl.how() == deadline::kind::relative && dl.ns() != 0) dl = at(time_point(duration(h.due_from_now(dl))));
    fd_entry& e = *c.entry;
    std::uint32_t const owner = c.owner;
    fd_wait w(e, write, noun);
    SPRUCE_CHECK(h.fds.await(e, write, w));
    SPRUCE_CHECK(park(w, dl));
    // Between the wake-up and our turn another task may have closed the stream: nobody waited any more, so nobody
    // was told. The entry stays when the stream is gone.
    return e.owners == owner ? result<void>() : errc::closed;
}

namespace {
// Keeps others from beginning a call on this side.
struct side_in_use : listener {
    side_in_use() noexcept : listener([](listener&, unsigned) noexcept {}) {}
};
}  // namespace

result<void> between_transfers(stream_core const& c, bool write) noexcept {
    scheduler* const s = current_scheduler;
    if (!s || !s->current || s->h.count_call()) [[likely]] return {};
    fd_entry& e = *c.entry;
    std::uint32_t const owner = c.owner;
    side_in_use here;
    SPRUCE_CHECK(s->h.fds.await(e, write, here));
    take_turn(*s, *s->current);
    s->h.fds.unawait(e, write, here);
    if (e.owners != owner) return errc::closed;
    return begin_wait();
}

}}}  // namespace spruce::v0::detail
