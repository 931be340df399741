// How the cost of timers grows with their number, 10 to 10,000,000: one added and canceled beside n, one of n armed anew at
// random, and n that are added and expire. Flat, but that a timer at random is not in a cache any more. Ours and the
// floor; libuv and libev, which keep heaps, up to a million.
// links: -luv -lev
#include <memory>
#include <string>

#include "timer_contenders.hpp"

namespace {
using namespace timers;

// What n timers of ours and of the floor's may need beside each other, in bytes each.
constexpr std::uint64_t bytes_each = 300;
constexpr std::size_t biggest_of_peers = 1'000'000;

// One contender with n timers, and one more.
template <class C> class field {
public:
    explicit field(std::size_t n) : n_(n), in_(std::make_unique<C>(n + 1)) {}
    double add_cancel(std::size_t operations) {
        fill();
        return per(operations, [&](std::size_t) {
            in_->arm(n_, 1000 + random_.below(59'000));
            in_->disarm(n_);
        });
    }
    double rearm(std::size_t operations) {
        fill();
        return per(operations, [&](std::size_t) {
            std::size_t const one = random_.below(static_cast<std::uint32_t>(n_));
            in_->disarm(one);
            in_->arm(one, 1000 + random_.below(59'000));
        });
    }
    // The processor's time: peers with a clock of their own sleep in between.
    double add_expire(std::size_t operations) {
        for (; filled_ > 0; --filled_) in_->disarm(filled_ - 1);
        std::size_t const batches = operations / n_ + 1;
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t b = 0; b < batches; ++b) {
            for (std::size_t i = 0; i < n_; ++i) in_->arm(i, 1 + static_cast<std::uint32_t>(i * 7919 % 1000));
            in_->expire_all(n_);
        }
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(batches * n_);
    }

private:
    template <class F> static double per(std::size_t operations, F&& one) {
        std::int64_t const begin = measure::cpu_ns();
        for (std::size_t i = 0; i < operations; ++i) one(i);
        return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(operations);
    }
    void fill() {
        for (; filled_ < n_; ++filled_) in_->arm(filled_, 1000 + random_.below(59'000));
    }
    std::size_t n_;
    std::size_t filled_ = 0;
    measure::numbers random_;
    std::unique_ptr<C> in_;
};

std::string name_of(char const* what, std::size_t n) { return std::string("grow_timer_") + what + "_" + std::to_string(n); }

void race(std::size_t n, std::size_t operations, measure::effort const& e) {
    field<ours> own(n);
    field<bare> floor(n);
#ifdef HAVE_UV
    field<libuv> uv(n <= biggest_of_peers ? n : 1);
#endif
#ifdef HAVE_EV
    field<libev> ev(n <= biggest_of_peers ? n : 1);
#endif
    auto const contest = [&](char const* what, auto&& one) {
        measure::contest all(name_of(what, n));
        all.enter("spruce", [&] { return one(own, operations); });
        all.enter("floor", [&] { return one(floor, operations); });
        if (n <= biggest_of_peers) {
#ifdef HAVE_UV
            all.enter("libuv", [&] { return one(uv, operations / 4 + 1); });
#endif
#ifdef HAVE_EV
            all.enter("libev", [&] { return one(ev, operations / 4 + 1); });
#endif
        }
        all.run(e);
    };
    contest("add_cancel", [](auto& f, std::size_t times) { return f.add_cancel(times); });
    contest("rearm", [](auto& f, std::size_t times) { return f.rearm(times); });
    // Few timers, of which each expires in a turn of its own, sleep a second each time: a peer's turns would be counted.
    if (n >= 1'000) contest("add_expire", [](auto& f, std::size_t) { return f.add_expire(1); });
}
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const whole(count, arguments);
    std::size_t const last = whole.rounds == 1 ? 1'000 : whole.rounds < 9 ? 100'000 : 10'000'000;
    for (std::size_t n = 10; n <= last; n *= 10) {
        if (n * bytes_each + 1'000'000'000 > measure::available_bytes()) {
            for (char const* what : {"add_cancel", "rearm", "add_expire"})
                std::printf("skipped %s it needs %llu MB of memory\n", name_of(what, n).c_str(), static_cast<unsigned long long>(n * bytes_each / 1'000'000));
            continue;
        }
        measure::effort e = whole;
        if (n >= 1'000'000) e.rounds = std::min(e.rounds, 5);
        race(n, static_cast<std::size_t>(whole.of(1'000'000, 1'000)), e);
    }
}
