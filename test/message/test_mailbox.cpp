#include <algorithm>
#include <deque>
#include <optional>
#include <stdexcept>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
using parcel = std::unique_ptr<int>;
parcel packed(int n) { return std::make_unique<int>(n); }
// What reaches the unhandled hook, as one text.
std::string& told_here() {
    static std::string told;
    return told;
}
void listen_to_hook(loop& hub) {
    told_here().clear();
    hub.on_unhandled([](unhandled const& u) { told_here() += u.what + std::string(";"); });
}
}  // namespace

TEST("a receiver that waits for a message runs before send() comes back, from a task, a callback or plain code") {
    if (harness::spoilt_kernel()) harness::skip("what it tests makes no system call");
    testing::simulation world(harness::as_asked());
    loop_options o;
    o.on = world.on();
    loop hub(o);
    mailbox<int> box;
    std::string seen;
    auto receiver = spawn([&] {
        for (;;) {
            auto m = box.receive({.accept = {"go", "end"}});
            REQUIRE(m.ok());
            seen += 'r' + std::to_string(m->value) + (m->sender == task_id{} ? "-" : "t");
            if (m->name == "end") return;
        }
    });
    hub.call_soon([&] {
        seen += "<";
        CHECK(box.send({"go", 1}).ok());
        seen += ">";
    });
    auto sender = spawn([&] {
        seen += "(";
        CHECK(box.send({"go", 2, {77}}).ok());
        seen += ")";
    });
    CHECK(hub.run_until(sender).ok());
    CHECK_EQ(std::string_view(seen), "<r1->(r2t)");
    seen += "[";
    CHECK(box.send({"end", 3}).ok());
    seen += "]";
    CHECK(receiver.done());
    CHECK_EQ(std::string_view(seen), "<r1->(r2t)[r3-]");
    CHECK(hub.run().ok());
}

TEST("the sender's id is in the message, and a receiver that answers queues it for the sender, who is sending") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> asked, answers;
        auto server = spawn([&] {
            auto m = asked.receive({.accept = {"ask"}});
            REQUIRE(m.ok());
            CHECK(answers.send({"answer", m->value * 2}).ok());
            CHECK_EQ(answers.size(), 1U);
            return m->sender;
        });
        auto client = spawn([&] {
            CHECK(asked.send({"ask", 21}).ok());
            CHECK_EQ(answers.size(), 1U);
            auto m = answers.receive({.accept = {"answer"}}, in(0s));
            REQUIRE(m.ok());
            CHECK_EQ(m->value, 42);
            return m->sender;
        });
        SPRUCE_TRY(auto from, server.get());
        SPRUCE_TRY(auto by, client.get());
        CHECK(from == client.id());
        CHECK(by == server.id());
        return {};
    });
    CHECK(r.ok());
}

TEST("accepted messages come in their order, deferred ones stay for a later wait, discarded ones go, and what is not named is told") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        listen_to_hook(hub);
        mailbox<parcel> box;
        CHECK(box.action("a") == message_action::queue);
        // Queued before the wait …
        for (auto name : {"later", "noise", "what", "a", "what"}) CHECK(box.send({name, packed(1)}).ok());
        CHECK_EQ(box.size(), 5U);
        message_filter const filter{.accept = {"a", "b"}, .defer = {"later", "a"}, .discard = {"noise", "later"}};
        auto m = box.receive(filter);
        REQUIRE(m.ok());
        CHECK(m->name == "a");
        CHECK_EQ(*m->value, 1);
        CHECK_EQ(box.size(), 1U);   // "later"
        CHECK_EQ(std::count(told_here().begin(), told_here().end(), ';'), 2);
        CHECK(told_here().find("'what'") != std::string::npos);
        told_here().clear();
        // … and during it.
        auto t = spawn([&] { return box.receive(filter); });
        settle();
        CHECK(box.action("a") == message_action::accept);
        CHECK(box.action("later") == message_action::defer);
        CHECK(box.action("noise") == message_action::discard);
        CHECK(box.action("what") == message_action::unnamed);
        for (auto name : {"later", "noise", "what"}) CHECK(box.send({name, packed(2)}).ok());
        CHECK(!t.done());
        CHECK_EQ(box.size(), 2U);
        CHECK_EQ(std::count(told_here().begin(), told_here().end(), ';'), 1);
        CHECK(box.send({"b", packed(3)}).ok());
        CHECK(t.done());
        m = std::move(t).get();
        REQUIRE(m.ok());
        CHECK_EQ(*m->value, 3);
        for (int n = 1; n != 3; ++n) {
            m = box.receive({.accept = {"later"}}, in(0s));
            REQUIRE(m.ok());
            CHECK_EQ(*m->value, n);
        }
        CHECK(box.receive({.accept = {"later"}}, in(0s)) == errc::timed_out);
        return {};
    });
    CHECK(r.ok());
}

TEST("a mailbox is full at its bound, but never for what its receiver waits for; with bound 0 it is only handed over") {
    auto r = run_virtually([]() -> result<void> {
        for (std::size_t bound : {0U, 1U, 3U}) {
            mailbox<int> box(bound);
            for (std::size_t i = 0; i != bound; ++i) CHECK(box.send({"later", 1}).ok());
            CHECK(box.send({"later", 1}) == errc::full);
            auto t = spawn([&] { return box.receive({.accept = {"now"}, .defer = {"later"}}); });
            settle();
            CHECK(box.send({"later", 1}) == errc::full);
                CHECK(box.send({"now", 2}).ok());
            auto m = std::move(t).get();
            REQUIRE(m.ok());
            CHECK_EQ(m->value, 2);
            CHECK_EQ(box.size(), bound);
        }
        return {};
    }, {});
    CHECK(r.ok());
}

TEST("a closed mailbox takes no message; its receiver gets what is left, then end_of_stream, and closed when it is destroyed") {
    auto r = run_virtually([]() -> result<void> {
        {
            mailbox<int> box;
            CHECK(box.send({"a", 1}).ok());
            box.close();
            CHECK(box.send({"a", 2}) == errc::closed);
            CHECK_EQ(box.receive({.accept = {"a"}})->value, 1);
            CHECK(box.receive({.accept = {"a"}}) == errc::end_of_stream);
        }
        {
            mailbox<int> box;
            auto t = spawn([&] { return box.receive({.accept = {"a"}}); });
            settle();
            box.close();
            CHECK(t.get() == errc::end_of_stream);
        }
        auto box = std::make_unique<mailbox<int>>();
        CHECK(box->send({"b", 1}).ok());
        auto t = spawn([&] { return box->receive({.accept = {"a"}, .defer = {"b"}}); });
        settle();
        box.reset();
        CHECK(t.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("one receiver at a time; too many names, and nobody to wait, are said") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box;
        auto t = spawn([&] { return box.receive({.accept = {"a"}}); });
        settle();
        CHECK(box.receive({.accept = {"b"}}, in(0s)) == errc::already_registered);
        t.cancel();
        CHECK(t.get() == errc::task_canceled);
        CHECK(box.receive({.accept = {"b"}}, in(0s)) == errc::timed_out);
        CHECK(box.receive({.accept = {"1", "2", "3", "4", "5", "6", "7", "8", "9"}}, in(0s)) == errc::invalid_argument);
        CHECK(box.receive({.accept = {"1", "2", "3", "4", "5", "6", "7", "8"}}, in(0s)) == errc::timed_out);
        return {};
    });
    CHECK(r.ok());
    mailbox<int> box;
    CHECK(box.receive({.accept = {"a"}}) == errc::not_in_task);
    CHECK(box.send({"a", 1}).ok());
    CHECK_EQ(box.receive({.accept = {"a"}})->value, 1);
}

TEST("a receiver that is canceled, or times out, takes no message, and who was given one has it though it is canceled") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box;
        auto late = spawn([&] { return box.receive({.accept = {"a"}}, in(1ms)); });
        CHECK(late.get() == errc::timed_out);
        auto canceled = spawn([&] { return box.receive({.accept = {"a"}}); });
        settle();
        canceled.cancel();
        CHECK(box.send({"a", 1}).ok());
        CHECK(canceled.get() == errc::task_canceled);
        CHECK_EQ(box.size(), 1U);
        CHECK_EQ(box.receive({.accept = {"a"}})->value, 1);
        // Its own message makes it cancel itself: it has the message.
        task<int> given;
        given = spawn([&] {
            auto m = box.receive({.accept = {"a"}});
            given.cancel();
            return m ? m->value : -1;
        });
        settle();
        CHECK(box.send({"a", 7}).ok());
        CHECK_EQ(*given.get(), 7);
        return {};
    });
    CHECK(r.ok());
}

TEST("the end of a message, or the hook, may use the mailbox, wait in it, or destroy it") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        auto box = std::make_unique<mailbox<int>>();
        int told = 0;
        hub.on_unhandled([&](unhandled const&) {
            static_cast<void>(sleep_for(1ms));
            if (++told == 1) CHECK(box->send({"b", 2}).ok());
            else box.reset();
        });
        CHECK(box->send({"x", 1}).ok());
        auto m = box->receive({.accept = {"b"}}, in(5ms));
        REQUIRE(m.ok());
        CHECK_EQ(m->value, 2);
        CHECK(box->send({"x", 1}).ok());
        CHECK(box->receive({.accept = {"b"}}) == errc::closed);
        CHECK(!box);
        box = std::make_unique<mailbox<int>>();
        auto t = spawn([&] { return box->receive({.accept = {"b"}}); });
        settle();
        CHECK(box->send({"y", 1}).ok());
        CHECK(t.get() == errc::closed);
        return {};
    });
    CHECK(r.ok());
}

TEST("a mailbox allocates when it is made, and never later; without memory every call says so") {
    mailbox<int> box(4);
    std::uint64_t const before = (harness::refused_allocations().calls = 0);
    for (int i = 0; i != 4; ++i) CHECK(box.send({"a", i}).ok());
    for (int i = 0; i != 4; ++i) CHECK_EQ(box.receive({.accept = {"a"}})->value, i);
    CHECK_EQ(harness::refused_allocations().calls, before);
    mailbox<int> none(static_cast<std::size_t>(-1) / 2);
    CHECK(none.send({"a"}) == errc::no_memory);
    CHECK(none.receive({.accept = {"a"}}) == errc::no_memory);
    CHECK_EQ(none.size(), 0U);
    none.close();
}

TEST_FOR(300, "random sends and receives with random filters: each message ends as the first wait that judges it says") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        harness::random draws(harness::seed());
        static constexpr std::string_view names[] = {"a", "b", "c", "d"};
        struct sent { std::string_view name; long number; };
        std::deque<sent> queue;   // the model's
        long told = 0, expected_told = 0, numbers = 0;
        hub.on_unhandled([&](unhandled const&) { ++told; });
        mailbox<long> box(5);
        long const steps = model_steps();
        auto draw = [&] {
            // Each name in one list, or none.
            message_filter f;
            for (auto name : names) {
                auto const kind = draws.below(4);
                if (kind == 3) continue;
                auto& list = kind == 0 ? f.accept : kind == 1 ? f.defer : f.discard;
                list.name[list.count++] = name;
            }
            return f;
        };
        for (long n = 0; n < steps; ++n) {
            message_filter const f = draw();
            // What the filter does with what is there.
            std::optional<sent> wanted;
            std::deque<sent> kept;
            for (auto const& m : queue) {
                if (f.accept.has(m.name) && !wanted) wanted = m;
                else if (f.accept.has(m.name) || f.defer.has(m.name)) kept.push_back(m);
                else expected_told += !f.discard.has(m.name);
            }
            queue = kept;
            auto t = spawn([&]() -> result<message<long>> { return box.receive(f, in(10ms)); });
            settle(2);
            CHECK_EQ(t.done(), wanted.has_value());
            for (auto sends = draws.below(6); sends != 0; --sends) {
                sent const m{names[draws.below(4)], ++numbers};
                auto const ok = box.send({m.name, m.number});
                if (wanted) {
                    CHECK_EQ(ok.ok(), queue.size() < 5);
                    if (ok) queue.push_back(m);
                } else if (f.accept.has(m.name)) {
                    CHECK(ok.ok());
                    CHECK(t.done());
                    wanted = m;
                } else if (f.defer.has(m.name)) {
                    CHECK_EQ(ok.ok(), queue.size() < 5);
                    if (ok) queue.push_back(m);
                } else {
                    CHECK(ok.ok());
                    expected_told += !f.discard.has(m.name);
                }
                CHECK_EQ(box.size(), queue.size());
            }
            auto got = t.get();
            if (wanted) {
                REQUIRE(got.ok());
                CHECK_EQ(got->value, wanted->number);
                CHECK(got->name == wanted->name);
            } else {
                CHECK(got == errc::timed_out);
            }
            CHECK_EQ(told, expected_told);
            CHECK_EQ(box.size(), queue.size());
        }
        return {};
    });
    CHECK(r.ok());
}
