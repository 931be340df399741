// The filters of the model of kqueue, as the manual has them: what of a file, a signal or a child is worth telling.
#include "simulated_knote.hpp"

namespace spruce { inline namespace v0 { namespace detail {

namespace {
using kind = simulated_kind;

simulated_told ask_read(simulated_file& f) noexcept {
    auto const pending = static_cast<std::int64_t>(f.inbox.arrived());
    switch (f.kind) {
        case kind::pipe_reader: {
            bool const eof = !f.peer && f.had_writer;
            return {pending != 0 || eof, pending, eof, 0};
        }
        case kind::pipe_writer: return {!f.peer, 0, !f.peer, 0};
        case kind::stream: {
            if (f.state == stream_state::listening) return {f.queued != 0, f.queued, false, 0};
            bool const eof = (f.shut & shut_in) != 0;
            return {eof || f.error != 0 || pending != 0, pending, eof, eof ? f.error : 0};
        }
        case kind::waker: {
            std::int64_t const count = f.waker->reader == &f ? f.waker->count.load(std::memory_order_acquire) : 0;
            bool const eof = f.waker->is_pipe && !f.waker->writer;
            return {count != 0 || eof, count, eof, 0};
        }
        case kind::child: return {f.ended, 0, false, 0};
        case kind::file: return {pending != 0, pending, false, 0};   // not at its end: poll(2) says always
        case kind::queue: break;
    }
    return {false, 0, false, 0};
}

simulated_told ask_write(kevent_manners const& m, simulated_file& f) noexcept {
    switch (f.kind) {
        case kind::pipe_reader: return {!f.peer || m.both_ways, 0, !f.peer, 0};
        case kind::pipe_writer:
            return {!f.peer || is_writable(f), static_cast<std::int64_t>(f.peer ? room_for(f) : 0), !f.peer, 0};
        case kind::stream: {
            if (f.state == stream_state::listening) return {false, 0, false, 0};
            bool const eof = (f.shut & shut_out) != 0;
            if (eof || f.error != 0) return {true, 0, eof, eof ? f.error : 0};
            if (f.state != stream_state::established) return {false, 0, false, 0};
            if (is_writable(f)) return {true, static_cast<std::int64_t>(room_for(f)), false, 0};
            f.starved = true;   // so that it is told when there is room
            return {false, 0, false, 0};
        }
        case kind::waker: return {f.waker->writer == &f, 0, false, 0};
        case kind::file: return {true, 0, false, 0};
        case kind::child:
        case kind::queue: break;
    }
    return {false, 0, false, 0};
}

}  // namespace

simulated_told ask_filter(simulated_knote& n) noexcept {
    if (!n.file) return {n.count != 0, n.count, false, 0};
    return n.filter == kevent_filter::read ? ask_read(*n.file) : ask_write(manners_of(n.queue->kernel), *n.file);
}

void activate(simulated_knote& n) noexcept {
    simulated_watch_ready& link = n;
    if (!link.linked()) n.queue->ready.push_back(link);
    n.queue->kernel.changed = true;
}

// -- when the filters of files are asked
void notify_knotes(simulated_kernel&, simulated_file& f, unsigned filters) noexcept {
    for (auto* at = f.knotes.front(); at; at = f.knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        unsigned const mine = n.filter == kevent_filter::read ? ready_read : ready_write;
        if ((filters & mine) != 0 && ask_filter(n).active) activate(n);
    }
}

void notify_pipe_end(simulated_kernel& k, simulated_file& left, bool over) noexcept {
    bool const once = manners_of(k).ends_once;
    if (!over) {
        if (!once) notify_knotes(k, left, ready_write);
        return;
    }
    notify_knotes(k, left, ready_read);
    for (auto* at = left.knotes.front(); once && at; at = left.knotes.after(*at)) {
        simulated_knote& n = from_subject(*at);
        if (n.filter != kevent_filter::write) continue;
        n.once = true;
        activate(n);
    }
}

}}}  // namespace spruce::v0::detail
