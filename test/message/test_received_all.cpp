// Waiting for several messages at once, each for one of several filters that overlap.
#include <array>
#include <utility>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("a wait for all finds a message for each filter if there is one for each, whoever would have taken which first") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box;
        received either(box, "x", "y"), one(box, "x");
        // There before the wait.
        CHECK(box.send({"x", 1}).ok());
        CHECK(box.send({"y", 2}).ok());
        auto both = wait_all(either, one, in(0s));
        REQUIRE(both.ok());
        CHECK_EQ(std::get<0>(*both)->value, 2);
        CHECK_EQ(std::get<1>(*both)->value, 1);
        // They come during it.
        auto t = spawn([&]() -> result<void> {
            SPRUCE_TRY(auto got, wait_all(either, one, in(1s)));
            CHECK_EQ(std::get<0>(got)->value, 4);
            CHECK_EQ(std::get<1>(got)->value, 3);
            return {};
        });
        settle();
        CHECK(box.send({"x", 3}).ok());
        CHECK(box.action("y") == message_action::queue);   // it is nobody's at once
        CHECK(box.send({"y", 4}).ok());
        CHECK(t.get().ok());
        // Among those that accept the same each takes the next, in its order.
        CHECK(box.send({"x", 5}).ok());
        CHECK(box.send({"x", 6}).ok());
        received other(box, "x");
        auto two = wait_all(one, other, in(0s));
        REQUIRE(two.ok());
        CHECK_EQ(std::get<0>(*two)->value, 5);
        CHECK_EQ(std::get<1>(*two)->value, 6);
        return {};
    });
    CHECK(r.ok());
}

TEST("a wait for all that lacks a message takes none; what none of its filters names is dropped until it has all") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        mailbox<int> box(2);
        received either(box, "x", "y"), one(box, "x");
        CHECK(box.send({"y", 1}).ok());
        CHECK(wait_all(either, one, in(1s)) == errc::timed_out);
        CHECK_EQ(box.size(), 1U);
        auto t = spawn([&] { return wait_all(either, one).ok(); });
        settle();
        CHECK(box.send({"z", 2}).ok());
        CHECK_EQ(told, 1);
        CHECK_EQ(box.size(), 1U);
        CHECK(box.send({"y", 3}).ok());                  // for later
        CHECK(box.send({"y", 4}) == errc::full);         // the place beyond the bound is for who waits …
        CHECK_EQ(box.size(), 2U);
        CHECK(box.send({"x", 5}).ok());                  // … for this
        CHECK_EQ(t.get().value_or(false), true);
        CHECK_EQ(box.size(), 1U);
        CHECK_EQ(box.receive({.accept = {"y"}}, in(0s))->value, 3);
        return {};
    });
    CHECK(r.ok());
}

namespace {
constexpr std::string_view names[] = {"a", "b", "c", "d"};
using name_set = unsigned;   // a bit each

message_filter filter_of(name_set s) {
    message_filter f;
    for (std::size_t i = 0; i != std::size(names); ++i)
        if (s >> i & 1) f.accept.name[f.accept.count++] = names[i];
        else f.defer.name[f.defer.count++] = names[i];
    return f;
}

// Tries every way to give each filter from `first` on a message of those that are left.
template <std::size_t N> bool is_possible(std::array<name_set, N> const& filters, std::vector<std::size_t>& left, std::size_t first = 0) {
    if (first == N) return true;
    for (std::size_t i = 0; i != left.size(); ++i) {
        std::size_t const name = left[i];
        if (!(filters[first] >> name & 1)) continue;
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
        bool const rest = is_possible(filters, left, first + 1);
        left.insert(left.begin() + static_cast<std::ptrdiff_t>(i), name);
        if (rest) return true;
    }
    return false;
}

// Messages come, some before the wait and some during it: it is over with the first that makes it possible.
template <std::size_t N> bool try_some(harness::random& r) {
    mailbox<std::size_t> box;
    std::array<name_set, N> wanted;
    for (auto& w : wanted) w = 1 + static_cast<name_set>(r.below(15));
    std::vector<std::size_t> there;
    std::size_t serial = 0;
    auto const send = [&] {
        there.push_back(r.below(std::size(names)));
        CHECK(box.send({names[there.back()], serial++}).ok());
    };
    while (r.chance(60)) send();
    bool over = false;
    std::array<std::size_t, N> got{};
    auto t = [&]<std::size_t... I>(std::index_sequence<I...>) {
        return spawn([&]() -> result<void> {
            std::unique_ptr<received<std::size_t>> each[] = {std::make_unique<received<std::size_t>>(box, filter_of(wanted[I]))...};
            SPRUCE_TRY(auto all, wait_all(*each[I]..., in(1s)));
            over = true;
            auto const look = [&](std::size_t i, result<message<std::size_t>> const& taken) {
                auto const m = taken.value_or(message<std::size_t>{"z", 0});
                got[i] = m.value;
                CHECK(wanted[i] >> (m.name[0] - 'a') & 1);
            };
            (look(I, std::get<I>(all)), ...);
            return {};
        });
    }(std::make_index_sequence<N>());
    settle(2);
    CHECK_EQ(over, is_possible(wanted, there));
    for (int i = 0; i != 8 && !over; ++i) {
        send();
        settle(1);
        CHECK_EQ(over, is_possible(wanted, there));
    }
    CHECK_EQ(t.get().ok(), over);
    CHECK_EQ(box.size(), there.size() - (over ? N : 0));
    for (std::size_t i = 0; over && i != N; ++i)
        for (std::size_t j = 0; j != i; ++j) CHECK(got[i] != got[j]);
    return over;
}
}  // namespace

TEST("random filters and messages: a wait for all ends with the first message that makes it possible, as every way tried says") {
    harness::random r(harness::seed());
    long complete = 0;
    long const rounds = harness::nightly() ? 50'000 : 2'500;
    auto ran = run_virtually([&] {
        for (long i = 0; i != rounds; ++i) {
            switch (r.below(3)) {
            case 0: complete += try_some<2>(r); break;
            case 1: complete += try_some<3>(r); break;
            default: complete += try_some<5>(r); break;
            }
        }
    });
    CHECK(ran.ok());
    CHECK(complete > rounds / 4);
    CHECK(complete < rounds);
}
