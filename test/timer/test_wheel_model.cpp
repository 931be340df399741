// The wheel against a sorted map: random operations, the same answers, and the invariants after every few.
#include "../../src/timer/wheel.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "../harness/harness.hpp"

namespace {
using namespace spruce;
using detail::timer;
using detail::wheel;

struct random_source {
    std::uint64_t state;
    std::uint64_t next() {
        std::uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t n) { return next() % n; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    // Up to 2^bits, and all sizes about equally often: the wheel's levels are powers of two.
    std::int64_t up_to_bits(unsigned bits) { return static_cast<std::int64_t>(next() >> 1 >> (63 - below(bits + 1))); }
};

// A heap that refuses now and then, and counts what it gave.
struct moody_heap {
    random_source random;
    bool refuses;
    bool in_a_mood = false;
    std::size_t out = 0;

    memory_hook hook() { return {take, put, this}; }
    static void* take(void* self, std::size_t bytes, std::size_t alignment) noexcept {
        auto& heap = *static_cast<moody_heap*>(self);
        if (heap.refuses) {
            if (heap.random.one_in(64)) heap.in_a_mood = !heap.in_a_mood;
            if (heap.in_a_mood ? !heap.random.one_in(16) : heap.random.one_in(16)) return nullptr;
        }
        void* const block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
        if (block) heap.out += bytes;
        return block;
    }
    static void put(void* self, void* block, std::size_t bytes, std::size_t) noexcept {
        static_cast<moody_heap*>(self)->out -= bytes;
        std::free(block);
    }
};

// One wheel, and the map that says what it must do. A timer's owner is its mirror.
class model {
public:
    model(std::uint64_t seed, unsigned shift, bool refuses)
        : random_{seed}, heap_{{~seed}, refuses}, wheel_(heap_.hook(), duration(std::int64_t{1} << shift)), shift_(shift) {
        now_ = random_.one_in(4) ? 0 : random_.up_to_bits(60);
        most_ = std::size_t{1} << random_.below(13);
        quiet_ = std::uint64_t{4} << random_.below(12);
        hurries_ = random_.one_in(4);
        wheel_.start(now_);
    }
    // False, with a line on stderr, at the first difference.
    bool run(int operations) {
        for (int i = 0; i < operations && !failure_; ++i) {
            if (random_.one_in(quiet_)) expire();
            else if (random_.one_in(quiet_)) ask_earliest();
            else change();
            if (random_.one_in(64)) check();
        }
        if (!failure_) check();
        if (failure_) std::fprintf(stderr, "model: %s\n", failure_);
        return !failure_;
    }
    // What the heap still has out once the wheel has ended.
    static bool leaves_nothing(std::unique_ptr<model> m) {
        for (auto const& r : m->mirrors_)
            if (r->in_wheel) m->wheel_.give_back(r->in_wheel);
        m->wheel_.~wheel();
        bool const clean = m->heap_.out == 0;
        ::new (static_cast<void*>(&m->wheel_)) wheel(memory_hook{});
        return clean;
    }

private:
    using key = std::pair<std::int64_t, std::uint64_t>;
    struct mirror {
        timer* in_wheel = nullptr;
        key when{};
        std::map<key, mirror*>* queue = nullptr;  // armed_ or firing_; null: not armed
    };
    void differs(char const* how) {
        if (!failure_) failure_ = how;
    }
    void check() {
        char const* rule = nullptr;
        if (!wheel_.check(&rule)) differs(rule);
        if (wheel_.live() != armed_.size()) differs("the number of armed timers");
    }
    void ask_earliest() {
        std::int64_t const expected = armed_.empty() ? INT64_MAX : armed_.begin()->first.first;
        if (wheel_.earliest_ns() != expected) differs("the earliest due time");
        std::int64_t const wake = wheel_.next_due_ns();
        std::int64_t const tick = std::int64_t{1} << shift_;
        if (wake < expected || (wake != INT64_MAX && (wake - expected >= tick || wake % tick != 0)))
            differs("the time to wake at");
    }
    void expire() {
        std::int64_t step = random_.up_to_bits(random_.one_in(16) ? 58 : 30);
        if (random_.one_in(8)) step = -random_.up_to_bits(14);                             // a hair backwards
        if (step > 0 && now_ > INT64_MAX - step) step = 0;
        now_ += step;
        if (random_.one_in(4) && !armed_.empty()) {
            std::int64_t const first = armed_.begin()->first.first;  // to the very moment, if that is not for ever
            if (first > now_ && first < now_ / 2 + INT64_MAX / 2) now_ = first;
        }
        firing_.swap(armed_);
        armed_.insert(firing_.upper_bound({now_, UINT64_MAX}), firing_.end());
        firing_.erase(firing_.upper_bound({now_, UINT64_MAX}), firing_.end());
        for (auto const& [when, r] : armed_) r->queue = &armed_;
        for (auto const& [when, r] : firing_) r->queue = &firing_;
        std::size_t const changes = random_.one_in(2) ? 0 : random_.below(4);
        wheel_.expire(now_, [&](timer& t) {
            auto* const r = static_cast<mirror*>(t.owner);
            if (firing_.empty() || firing_.begin()->second != r) return differs("which timer fires next");
            if (r->in_wheel != &t || wheel_.armed(t)) return differs("a timer that fires is disarmed");
            firing_.erase(firing_.begin());
            r->queue = nullptr;
            for (std::size_t i = 0; i < changes; ++i) change();
        });
        if (!firing_.empty()) differs("a due timer did not fire");
    }
    std::int64_t some_due(mirror const& r) {
        // Ever earlier: each time an entry that can't be kept, until the wheel has to sweep.
        if (hurries_ && r.when.first > now_) {
            auto const far = static_cast<std::uint64_t>(r.when.first) - static_cast<std::uint64_t>(now_);
            return static_cast<std::int64_t>(static_cast<std::uint64_t>(now_) + far / 8 * 7);
        }
        if (random_.one_in(64)) return random_.one_in(2) ? INT64_MAX : INT64_MAX - random_.up_to_bits(20);
        if (random_.one_in(64)) return random_.one_in(8) ? INT64_MIN : now_ - random_.up_to_bits(40);
        if (random_.one_in(4)) return now_ + static_cast<std::int64_t>(random_.below(8)) * 1'000'000;  // many equal
        std::int64_t const later = random_.up_to_bits(random_.one_in(16) ? 62 : 36);
        return now_ > INT64_MAX - later ? INT64_MAX : now_ + later;
    }
    void change() {
        if (mirrors_.empty() || (mirrors_.size() < most_ && random_.one_in(2))) mirrors_.push_back(std::make_unique<mirror>());
        mirror& r = *mirrors_[random_.below(mirrors_.size())];
        if (!r.in_wheel) {
            if (!wheel_.reserve(1)) return;
            r.in_wheel = wheel_.take(&r);
            if (wheel_.armed(*r.in_wheel)) differs("a timer just taken is not armed");
        }
        std::uint64_t const what = random_.below(16);
        if (what < 10) {
            std::int64_t const due = some_due(r);
            if (r.queue) r.queue->erase(r.when);
            r.when = {due == INT64_MAX ? due - 1 : due, ++armings_};
            r.queue = &armed_;
            armed_.emplace(r.when, &r);
            wheel_.arm(*r.in_wheel, due);
            if (!wheel_.armed(*r.in_wheel) || wheel_.due(*r.in_wheel) != r.when.first) differs("when an armed timer is due");
        } else if (what < 14) {
            if (wheel_.disarm(*r.in_wheel) != (r.queue != nullptr)) differs("whether a timer was armed");
            if (r.queue) r.queue->erase(r.when);
            r.queue = nullptr;
        } else {
            if (r.queue) r.queue->erase(r.when);
            r.queue = nullptr;
            wheel_.give_back(r.in_wheel);
            wheel_.unreserve(1);
            r.in_wheel = nullptr;
        }
    }

    random_source random_;
    moody_heap heap_;
    wheel wheel_;
    unsigned shift_;
    std::int64_t now_;
    std::size_t most_;     // timers
    std::uint64_t quiet_;  // how many operations come between two looks at the time
    bool hurries_;         // timers are re-armed to earlier times only
    std::uint64_t armings_ = 0;
    std::vector<std::unique_ptr<mirror>> mirrors_;
    std::map<key, mirror*> armed_, firing_;
    char const* failure_ = nullptr;
};

void campaign(bool refuses) {
    std::uint64_t const seed = harness::seed();
    int const rounds = harness::nightly() ? 10'000 : 100;
    constexpr unsigned shifts[] = {16, 0, 10, 20};
    for (int round = 0; round < rounds; ++round) {
        std::uint64_t const of_round = seed + static_cast<std::uint64_t>(round) * 0x1000193;
        auto m = std::make_unique<model>(of_round, shifts[round % 4], refuses);
        bool const same = m->run(10'000);
        if (!same) std::fprintf(stderr, "model: round %d of seed %llu\n", round, static_cast<unsigned long long>(seed));
        REQUIRE(same);
        REQUIRE(model::leaves_nothing(std::move(m)));
    }
}
}  // namespace

TEST("a million random operations on the wheel give what a sorted map gives") { campaign(false); }
TEST("a million random operations give the same while memory is refused at random") { campaign(true); }
