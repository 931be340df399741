// The fds of a loop: who waits for which, what the poller was told, and what is known of owned ones.
#pragma once
#include <cstddef>
#include <cstdint>

#include <spruce/memory.hpp>
#include <spruce/result.hpp>

#include "../base/prefetch.hpp"
#include "../sys/fork_mark.hpp"
#include "../sys/kernel.hpp"
#include "../sys/kernel_error.hpp"
#include "listener.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// What one fd number is to this loop. Type-stable: a number keeps its entry for the loop's life, and the generation
// tells one registration from the next, in the table as in the kernel's events.
struct alignas(sizeof(void*) == 8 ? 64 : 8) fd_entry {
    listener* on_read = nullptr;      // one waiter a direction
    listener* on_write = nullptr;
    int fd = -1;
    std::uint32_t generation = 0;
    std::uint32_t owners = 0;         // ownerships that have ended: tells a stream from the next one with its number
    std::uint8_t registered = interest_none;   // what the poller has
    std::uint8_t ready = 0;           // owned: readiness kept in user space, bits of `readiness`
    bool owned = false;               // one of our streams: edge-triggered, both directions, registered once
    bool raw_read = false;            // who waits came from outside (add_reader): level-triggered, only while waited
    bool raw_write = false;
    bool unpollable = false;          // the poller refused it: always ready
    bool dirty = false;               // in the list of changes to tell the poller
    bool rearm = false;               // … and to be said again though it is the same
    fd_entry* next_dirty = nullptr;
    fd_entry* next_unpollable = nullptr;
    fd_entry** named_unpollable = nullptr;   // in the list of those: what points to it there
};

class fd_table {
public:
    fd_table(memory_hook memory, std::size_t bound) noexcept : memory_(memory), bound_(bound) {}
    ~fd_table();
    fd_table(fd_table const&) = delete;
    fd_table& operator=(fd_table const&) = delete;

    // Both tables of the kernel; set once, before anything else.
    void attach(kernel_calls const* calls, void* context, poller_calls const* poller, void* poller_context) noexcept;

    // The entry of a number, made if need be. invalid_argument (negative), full, no_memory.
    result<fd_entry*> entry(int fd) noexcept;
    fd_entry* find(int fd) noexcept;

    // -- raw: level-triggered, registered while somebody waits.
    // already_registered: somebody waits on that side. An errno if the poller refuses the fd.
    result<void> watch(int fd, bool write, listener& who) noexcept;
    void unwatch(int fd, bool write, listener& who) noexcept;

    // -- owned: our streams. adopt() before the first wait; the fd is closed by close().
    // already_registered: the number is owned or watched. fresh: the kernel has just given it out; evict() it first.
    result<fd_entry*> adopt(int fd, bool fresh) noexcept;
    // The kernel has just given the number out: whoever had it here had it closed behind our back (or on another
    // thread), is told_closed, and has nothing registered for it any more. Returns: what that was, for a report; or
    // null. Runs destructors of callbacks.
    char const* evict(int fd) noexcept;
    // Ends the ownership without closing; waiters are told_closed. For release() of a stream.
    void disown(fd_entry& e) noexcept;
    // Deregisters, wakes the waiters with told_closed, and closes the number, in this order.
    void close(fd_entry& e) noexcept;
    // Waits on one side of an owned fd, once: the listener is taken off before it is notified. already_registered;
    // an errno when the poller refuses it. The first wait registers the fd, so that what never waits costs no call.
    result<void> await(fd_entry& e, bool write, listener& who) noexcept;
    void unawait(fd_entry& e, bool write, listener& who) noexcept;
    // After EAGAIN, or a short read that drained it: not ready until the poller says so.
    void clear_ready(fd_entry& e, std::uint8_t bits) noexcept;

    // Calls f with the number of each fd that a stream owns.
    template <class F> void for_each_owned(F&& f) const {
        for (std::size_t chunk = 0; chunk != chunk_room_; ++chunk)
            for (std::size_t i = 0; chunks_[chunk] && i != chunk_size; ++i)
                if (chunks_[chunk][i].owned) f(chunks_[chunk][i].fd);
    }

    // -- the hub's side
    // Tells the poller what has changed. Changes that canceled each other out cost nothing. false: it refused
    // somebody for now, whom the next call is for.
    bool flush() noexcept;
    // Whether there may be any.
    bool any_changes() const noexcept { return dirty_ != nullptr; }
    // One event of the poller. Returns false for a ghost: an event of a registration that is over.
    bool dispatch(poll_event const& event) noexcept;
    // Events of these are to be dispatched, soon and later: what that will look at is asked of memory now.
    void foresee(int soon, int later) noexcept {
        prefetch_for_write(find(later));
        if (fd_entry const* const e = find(soon); e && e->on_read) {
            auto* const p = reinterpret_cast<char const*>(e->on_read);
            prefetch_for_write(p);
            prefetch_for_write(p + 64);
            prefetch_for_write(p + 128);
        }
    }
    // Registers everything again, after the poller was renewed.
    void register_all() noexcept;
    // Whether the poller is a parent's: it is not told of anything then. Over with after_fork().
    bool is_parents() const noexcept { return fork_mark() != mark_; }
    // Notifies those who wait for what is always ready. Returns whether there were any.
    bool notify_unpollable() noexcept;
    bool any_unpollable() const noexcept { return unpollable_ != nullptr; }
    void after_fork() noexcept { mark_ = fork_mark(); }

private:
    static constexpr std::size_t chunk_size = 64;
    std::uint8_t wanted(fd_entry const& e) const noexcept;
    void touch(fd_entry& e) noexcept;
    static bool retries(fd_entry const& e, int failed) noexcept;
    int apply(fd_entry& e, std::uint8_t interest) noexcept;
    void notify(fd_entry& e, unsigned what) noexcept;
    void leave(fd_entry& e, bool hard) noexcept;
    void waits_unpollable(fd_entry& e) noexcept;
    static void left_unpollable(fd_entry& e) noexcept;

    memory_hook memory_;
    std::size_t bound_;
    kernel_calls const* calls_ = nullptr;
    void* context_ = nullptr;
    poller_calls const* poller_ = nullptr;
    void* poller_context_ = nullptr;
    std::uint32_t mark_ = 0;          // of the process whose poller it is
    fd_entry** chunks_ = nullptr;
    std::size_t chunk_room_ = 0;
    fd_entry* dirty_ = nullptr;
    fd_entry* unpollable_ = nullptr;   // those that somebody waits for
};

}}}  // namespace spruce::v0::detail
