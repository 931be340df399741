#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

TEST("received in a wait_any: who waits there runs before send() comes back, and what it loses stays in the mailbox") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box;
        event go;
        std::string seen;
        auto t = spawn([&] {
            received wanted(box, "a", "b");
            for (;;) {
                auto won = wait_any(go, wanted);
                REQUIRE(won.ok());
                if (won->is(go)) break;
                auto m = won->get<1>();
                REQUIRE(m.ok());
                seen += std::string(m->name) + std::to_string(m->value);
            }
            seen += '.';
        });
        settle();
        CHECK(box.send({"a", 1}).ok());
        seen += '<';
        CHECK(box.send({"b", 2}).ok());
        seen += '<';
        go.set();
        CHECK(box.send({"a", 3}).ok());   // it has been told to go already
        CHECK(t.join().ok());
        CHECK_EQ(std::string_view(seen), "a1<b2<.");
        CHECK_EQ(box.receive({.accept = {"a"}}, in(0s))->value, 3);
        return {};
    });
    CHECK(r.ok());
}

TEST("two filters of one mailbox in one wait may name the same messages; what neither names is dropped, also from before") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        int told = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        mailbox<int> box;
        CHECK(box.send({"x", 1}).ok());
        CHECK(box.send({"keep", 2}).ok());
        received one(box, {.accept = {"a", "both"}, .defer = {"keep"}, .discard = {"b"}});
        received two(box, {.accept = {"b", "both"}, .discard = {"a"}});
        // Nothing was waited for: what was there before is not judged.
        CHECK(box.send({"b", 3}).ok());
        auto won = wait_any(one, two);
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 1U);
        CHECK_EQ(won->get<1>()->value, 3);
        CHECK_EQ(box.size(), 2U);
        CHECK_EQ(told, 0);
        hub.call_soon([&] { CHECK(box.send({"both", 4}).ok()); });
        won = wait_any(one, two);
        REQUIRE(won.ok());
        CHECK_EQ(won->index(), 0U);
        CHECK_EQ(won->get<0>()->value, 4);
        CHECK_EQ(told, 1);   // "x"
        CHECK_EQ(box.size(), 1U);
        // A wait that ends by its deadline has judged, too.
        CHECK(box.send({"y", 1}).ok());
        CHECK(wait_any(one, two, in(1ms))->timed_out());
        CHECK_EQ(told, 2);
        // Both at once take one each.
        hub.call_soon([&] {
            CHECK(box.send({"both", 5}).ok());
            CHECK(box.send({"both", 6}).ok());
            CHECK(box.send({"both", 7}).ok());
        });
        auto all = wait_all(one, two);
        REQUIRE(all.ok());
        CHECK_EQ(std::get<0>(*all)->value, 5);
        CHECK_EQ(std::get<1>(*all)->value, 6);
        CHECK_EQ(box.receive({.accept = {"both"}})->value, 7);
        return {};
    });
    CHECK(r.ok());
}

TEST("received ends with end_of_stream or closed as receive() does, and another task cannot wait beside it") {
    auto r = run_virtually([]() -> result<void> {
        auto box = std::make_unique<mailbox<int>>();
        received wanted(*box, "a");
        auto t = spawn([&] {
            received mine(*box, "b");
            auto won = wait_any(mine);
            REQUIRE(won.ok());
            return won->get<0>().error() == error(errc::closed);
        });
        settle();
        CHECK(wait_any(wanted) == errc::already_registered);
        CHECK(box->receive({.accept = {"a"}}) == errc::already_registered);
        box.reset();
        CHECK(t.get().value());
        CHECK(wait_any(wanted)->get<0>() == errc::closed);
        mailbox<int> other;
        received left(other, "a");
        CHECK(other.send({"a", 1}).ok());
        other.close();
        CHECK_EQ(wait_any(left)->get<0>()->value, 1);
        CHECK(wait_any(left)->get<0>() == errc::end_of_stream);
        received many(other, {.accept = {"1", "2", "3", "4", "5", "6", "7", "8", "9"}});
        CHECK(wait_any(many) == errc::invalid_argument);
        mailbox<int> none(static_cast<std::size_t>(-1) / 2);
        received nothing(none, "a");
        CHECK(wait_any(nothing) == errc::no_memory);
        return {};
    });
    CHECK(r.ok());
}

namespace {
// Calls something at its end.
class at_end {
public:
    at_end() noexcept = default;
    explicit at_end(void (*f)(void*), void* of) noexcept : f_(f), of_(of) {}
    at_end(at_end&& other) noexcept : f_(std::exchange(other.f_, nullptr)), of_(other.of_) {}
    at_end& operator=(at_end&& other) noexcept {
        f_ = std::exchange(other.f_, nullptr);
        of_ = other.of_;
        return *this;
    }
    ~at_end() {
        if (f_) f_(of_);
    }

private:
    void (*f_)(void*) = nullptr;
    void* of_ = nullptr;
};
}  // namespace

TEST("who was canceled is given nothing more: what a dropped message's end sends on a channel of the same wait stays there") {
    auto r = run_virtually([]() -> result<void> {
        channel<int> c(1);
        mailbox<at_end> box;
        CHECK(box.send({"unwanted", at_end([](void* of) { CHECK(static_cast<channel<int>*>(of)->try_send(7).ok()); }, &c)}).ok());
        auto t = spawn([&] {
            received wanted(box, {.accept = {"x"}});
            CHECK_EQ(ending_of(wait_any(c, wanted)), errc::canceled);
        });
        REQUIRE(sleep_for(1ms).ok());
        CHECK(t.cancel());
        REQUIRE(t.join().ok());
        CHECK_EQ(box.size(), 0U);
        auto kept = c.try_receive();
        REQUIRE(kept.ok());
        CHECK_EQ(*kept, 7);
        return {};
    });
    CHECK(r.ok());
}

TEST("a mailbox whose messages send to it when they are dropped says full where it has no place, and goes on") {
    auto r = run_virtually([]() -> result<void> {
        struct state {
            mailbox<at_end> box{1};
            errc later{}, wanted{};
        } s;
        CHECK(s.box.send({"x", at_end([](void* of) {
            auto& here = *static_cast<state*>(of);
            here.later = ending_of(here.box.send({"later", at_end()}));
            here.wanted = ending_of(here.box.send({"a", at_end()}));
        }, &s)}).ok());
        CHECK_EQ(ending_of(s.box.receive({.accept = {"a"}, .defer = {"later"}, .discard = {"x"}}, in(0s))), errc::timed_out);
        CHECK_EQ(s.later, errc{});
        CHECK_EQ(s.wanted, errc::full);
        CHECK_EQ(s.box.size(), 1U);
        CHECK(s.box.receive({.accept = {"later"}}, in(0s)).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("a message for a receiver that was canceled in the same turn does not take the place of what the next one waits for") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(1);
        CHECK(box.send({"keep", 1}).ok());
        auto wait_for = [&](std::string_view name, errc how) {
            return spawn([&box, name, how] {
                received wanted(box, {.accept = {name}, .defer = {"keep", "a"}});
                CHECK_EQ(ending_of(wait_any(wanted)), how);
            });
        };
        auto first = wait_for("a", errc::canceled);
        settle();
        CHECK(first.cancel());
        CHECK_EQ(ending_of(box.send({"a", 2})), errc::full);
        REQUIRE(first.join().ok());
        auto second = wait_for("b", errc{});
        settle();
        CHECK(box.send({"b", 3}).ok());
        CHECK(second.done());
        REQUIRE(second.join().ok());
        CHECK_EQ(box.size(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("two filters that name the same messages are two in a wait for all: one message does not stand for both") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box;
        received one(box, "x"), other(box, "x", "y");
        CHECK(box.send({.name = "x", .value = 1}).ok());
        CHECK(wait_all(one, other, in(10ms)) == errc::timed_out);
        CHECK_EQ(box.size(), 1U);   // nothing was taken
        auto t = spawn([&]() -> result<int> {
            SPRUCE_TRY(auto both, wait_all(one, other, in(1s)));
            return std::get<0>(both)->value * 10 + std::get<1>(both)->value;
        });
        settle();
        CHECK(box.send({.name = "x", .value = 2}).ok());
        CHECK_EQ(t.get().value_or(-1), 12);
        CHECK_EQ(box.size(), 0U);
        // In a wait for the first of them the other one's stays.
        CHECK(box.send({.name = "x", .value = 3}).ok());
        SPRUCE_TRY(auto won, wait_any(other, one));
        CHECK(won.is(other) && won.get<0>()->value == 3);
        return {};
    });
    CHECK(r.ok());
}
