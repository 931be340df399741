// Whether a loop waits awake before it sleeps.
//
// To be woken costs a loop and its waker some ten microseconds together; a call that comes sooner than that is had more
// cheaply by looking for it. So a loop that slept, and was woken by a call soon, looks for the next one for a while
// before it sleeps again: about as long as a sleep costs, so that it never spends more than twice what the best choice
// would have (competitive spinning: Karlin, Li, Manasse, Owicki, "Empirical Studies of Competitive Spinning", SOSP
// 1991). The first wait that is in vain ends that, and so do eight in a row that something else ended, until a sleep is
// short again.
//
// Not where the waker ran on our own core: while we look, it could not. Which cores the process may use says less: its
// threads may be bound to one each, or all to the same.
//
// A loop that is awake can also be too quick. It and its senders take the same few lines of memory from one another,
// and where it looks after each call, that is what each call costs: 300 ns, where one of thirty that come at once costs
// 85. So where calls come closely it rests before it looks again, while there are not many more than it hopes for. It
// hopes for twice as many when there were more, and for half when there were fewer, or no more than one: so a thread
// that waits for the answer before it calls again is not kept waiting. Calls of several, and what is beside a flood of
// them, come a rest later.
#pragma once
#include <cstddef>
#include <cstdint>

namespace spruce { inline namespace v0 { namespace detail {

// How a wait awake ended: by a call, by an event or a timer, or by its bound.
enum class spin_end : std::uint8_t { call, other, in_vain };

class spin_policy {
public:
    explicit spin_policy(std::int64_t most_ns) noexcept : most_ns_(most_ns) {}

    // Whether to wait awake now, and for how long.
    bool pays() const noexcept { return pays_; }
    std::int64_t most_ns() const noexcept { return most_ns_; }

    // A wait awake is over. Some in a row that ended otherwise may have been other things' turn.
    void waited(spin_end how) noexcept {
        ++waits_;
        others_ = how == spin_end::other ? others_ + 1 : 0;
        if (how == spin_end::in_vain || others_ == most_others) {
            pays_ = false;
            hoped_ = 0;
        }
    }
    // A sleep is over, so many nanoseconds after the turn before it began, by a call from a thread on another core, or
    // by anything else. (With that turn's work in it: to tell them apart would take one more reading of the clock a
    // sleep, and a loop that works long between two calls has less to win.)
    void slept(std::int64_t ns, bool called_from_other_core) noexcept {
        pays_ = called_from_other_core && ns < most_ns_;
        if (!pays_) hoped_ = 0;
        others_ = 0;
    }

    // The poller was asked, without failing; whether that was just before.
    void polled(std::int64_t now_ns) noexcept { polled_ns_ = now_ns; }
    bool has_polled(std::int64_t now_ns) const noexcept { return now_ns - polled_ns_ < poll_every_ns; }

    // An inbox phase took so many calls.
    void took(std::size_t calls) noexcept {
        if (!pays_) return;
        if (calls > hoped_ && calls > 1) {
            if (hoped_ != most_hoped) hoped_ = hoped_ == 0 ? 1 : hoped_ * 2;
        } else if (calls < hoped_ || calls <= 1) {
            hoped_ /= 2;
        }
    }
    // For how many calls a rest is meant; 0: none pays.
    unsigned hoped() const noexcept { return hoped_; }
    // A rest takes so many steps of waiting for each of them at most: 54 ns, and so under two microseconds for
    // most_hoped, which is less than a sleeping loop takes to wake. (Measured on one machine. How long a step is, is
    // the processor's; where it has none that waits, a rest is next to nothing.)
    static constexpr unsigned steps_each = 3;
    static constexpr unsigned most_hoped = 32;
    // With something due sooner than this it does not rest.
    static constexpr std::int64_t rest_within_ns = 10'000;
    void rested() noexcept { ++rests_; }

    // How often it waited awake, and how often it rested.
    std::uint64_t waits() const noexcept { return waits_; }
    std::uint64_t rests() const noexcept { return rests_; }

private:
    static constexpr std::int64_t poll_every_ns = 10'000;
    static constexpr unsigned most_others = 8;
    std::int64_t most_ns_;   // 0: never
    std::int64_t polled_ns_ = 0;
    std::uint64_t waits_ = 0, rests_ = 0;
    unsigned others_ = 0;
    unsigned hoped_ = 0;   // 0 while it does not pay
    bool pays_ = false;
};

}}}  // namespace spruce::v0::detail
