#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
std::string_view state_in(loop& l, task_id id) {
    for (auto const& t : l.census())
        if (t.id == id) return t.state;
    return "";
}
}  // namespace

TEST("who sends a message is seen as ready while its receiver runs, who is seen as running, and is gone once it has ended") {
    auto r = run_virtually([]() -> result<void> {
        SPRUCE_TRY(loop& hub, loop::current());
        mailbox<int> box;
        std::string seen;
        task_id const sender = this_task::id();
        auto receiver = spawn([&]() -> result<void> {
            SPRUCE_CHECK(box.receive({.accept = {"x"}}));
            CHECK_EQ(state_in(hub, sender), "ready");
            CHECK_EQ(state_in(hub, this_task::id()), "running");
            seen += 'r';
            return {};
        });
        settle();
        CHECK_EQ(state_in(hub, receiver.id()), "waiting");
        CHECK(box.send({.name = "x", .value = 1}).ok());
        seen += 's';
        CHECK_EQ(std::string_view(seen), "rs");
        CHECK_EQ(state_in(hub, receiver.id()), "");
        CHECK_EQ(state_in(hub, sender), "running");
        CHECK(receiver.done());
        return {};
    });
    CHECK(r.ok());
}

TEST("when a task ends its conditions are disarmed, then its outcome stands, then its callbacks run in order, and who joins") {
    auto r = run_virtually([]() -> result<void> {
        struct noting {
            std::string& to;
            result<void> arm(wait_point&) { return to += 'a', result<void>(); }
            void disarm() noexcept { to += 'd'; }
            result<void> take() { return {}; }
        };
        for (bool by_cancel : {true, false}) {
            std::string seen;
            event e;
            task<int> t;
            t = spawn([&]() -> result<int> {
                noting n{seen};
                auto won = wait_any(n, e);
                seen += won ? 'w' : 'c';
                SPRUCE_CHECK(won);
                return 7;
            });
            auto const outcome = [&] {
                CHECK(t.done());
                auto const got = t.get();
                return got ? std::to_string(*got) : std::string(got.error().name());
            };
            t.on_done([&] { seen += "1:" + outcome() + ' '; });
            t.on_done([&] { seen += "2:" + outcome() + ' '; });
            auto joins = spawn([&] { CHECK(t.join().ok()); seen += "j:" + outcome() + ' '; });
            t.on_done([&] { seen += "3:" + outcome() + ' '; });
            settle();
            if (by_cancel) t.cancel();
            else e.set();
            CHECK(joins.join().ok());
            settle();
            std::string const value = by_cancel ? "task_canceled" : "7";
            std::string all = seen.substr(0, 3);
            CHECK_EQ(all, by_cancel ? "adc" : "adw");
            for (char const* who : {"1:", "2:", "3:", "j:"}) CHECK(seen.find(who + value + ' ') != std::string::npos);
            CHECK(seen.find("1:") < seen.find("2:") && seen.find("2:") < seen.find("3:"));
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("a task's function and arguments are bound when it is made; what goes back and forth later goes by a channel") {
    auto r = run_virtually([]() -> result<void> {
        std::string seen;
        int n = 1;
        channel<int> into, out;   // without room: each value is handed over, as by a switch
        auto fiber = spawn([&](int bound) -> result<int> {
            seen += std::to_string(bound);
            for (int sum = bound;;) {
                SPRUCE_CHECK(out.send(int(sum)));
                auto const more = into.receive();
                if (!more) return sum;
                sum += *more;
            }
        }, n);
        n = 100;
        CHECK(seen.empty());   // bound, and not run
        CHECK_EQ(out.receive().value_or(0), 1);
        CHECK(into.send(2).ok());
        CHECK_EQ(out.receive().value_or(0), 3);
        CHECK(into.send(4).ok());
        CHECK_EQ(out.receive().value_or(0), 7);
        into.close();
        CHECK_EQ(fiber.get().value_or(0), 7);
        CHECK_EQ(std::string_view(seen), "1");
        return {};
    });
    CHECK(r.ok());
}
