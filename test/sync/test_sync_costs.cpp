// What grows with the number of those who stand in a line, or of what lies in a queue, grows no faster: sizes that took
// minutes where a list was walked for one of its elements.
#include <span>
#include <string>
#include <vector>

#include "virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr int many = 20'000;
constexpr std::size_t room_for_many = 2 * many + 2;
constexpr task_options small{.stack_size = 16 << 10};

void send_all(mailbox<int>& box, std::string_view name, int count = many) {
    for (int i = 0; i != count; ++i) REQUIRE(box.send({name, i}).ok());
}
}  // namespace

// -- mailboxes

TEST("twenty thousand queued messages are received one by one, in the order in which they were sent") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(room_for_many);
        send_all(box, "a");
        for (int i = 0; i != many; ++i) CHECK_EQ(box.receive({.accept = {"a"}})->value, i);
        CHECK_EQ(box.size(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("messages behind twenty thousand deferred ones are found, by filters that take turns") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(room_for_many);
        send_all(box, "later");
        send_all(box, "now");
        for (int i = 0; i != many; ++i) {
            CHECK_EQ(box.receive({.accept = {"now"}, .defer = {"later"}})->value, i);
            CHECK_EQ(box.receive({.accept = {"none", "later"}, .defer = {"now"}})->value, i);
        }
        CHECK_EQ(box.size(), 0U);
        return {};
    });
    CHECK(r.ok());
}

TEST("a message is handed over at once past twenty thousand that its receiver defers") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(room_for_many);
        int got = 0;
        auto receiver = spawn([&] {
            for (; got != many; ++got) REQUIRE(box.receive({.accept = {"now"}, .defer = {"later"}})->value == got);
        });
        CHECK(yield().ok());
        send_all(box, "later");
        for (int i = 0; i != many; ++i) {
            CHECK(box.send({"now", i}).ok());
            CHECK_EQ(got, i + 1);
            if (i % 100 == 99) CHECK(yield().ok());   // it has received so many at once that it lets others run
        }
        CHECK_EQ(box.size(), std::size_t{many});
        return receiver.join();
    });
    CHECK(r.ok());
}

TEST("twenty thousand messages of as many names are dropped in the order in which they were sent") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(room_for_many);
        std::vector<std::string> names, told;
        (*loop::current()).on_unhandled([&](unhandled const& u) { told.emplace_back(u.what); });
        for (int i = 0; i != many; ++i) names.push_back("n" + std::to_string(i));
        // Filed beforehand by waits that need not wait, or not at all.
        for (int round = 0; round != 2; ++round) {
            told.clear();
            for (int i = 0; i != many; ++i) {
                REQUIRE(box.send({names[static_cast<std::size_t>(i)], i}).ok());
                if (i % 100 == 0) REQUIRE(box.send({"kept", i}).ok());
            }
            if (round == 0) {
                REQUIRE(box.send({"first", 0}).ok());
                received wanted(box, "first");
                CHECK(wait_any(wanted).ok());
            }
            CHECK(box.receive({.accept = {"kept"}})->value == 0);
            REQUIRE(told.size() == names.size());
            for (std::size_t i = 0; i != told.size(); ++i) CHECK(told[i].find("'" + names[i] + "'") != std::string::npos);
            for (int i = 100; i != many; i += 100) CHECK_EQ(box.receive({.accept = {"kept"}})->value, i);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("waits for one of several, and for all, find their messages among twenty thousand") {
    auto r = run_virtually([]() -> result<void> {
        mailbox<int> box(room_for_many);
        send_all(box, "a");
        send_all(box, "b");
        received a(box, message_filter{.accept = {"a"}, .defer = {"b"}}), b(box, message_filter{.accept = {"b"}, .defer = {"a"}});
        for (int i = 0; i != many / 2; ++i) {
            auto const both = wait_all(b, a);
            REQUIRE(both.ok());
            CHECK_EQ(std::get<0>(*both)->value, i);
            CHECK_EQ(std::get<1>(*both)->value, i);
        }
        for (int i = many / 2; i != many; ++i) {
            auto const one = wait_any(b, in(1h));
            REQUIRE(one.ok() && one->index() == 0);
        }
        CHECK_EQ(box.size(), std::size_t{many / 2});
        return {};
    });
    CHECK(r.ok());
}

// -- waits for all

namespace {
// A semaphore as a condition that counts how often it is looked at.
struct counting {
    semaphore::condition inner;
    int& looks;
    counting(semaphore& s, int& n) : inner(s), looks(n) {}
    result<void> arm(wait_point& p) noexcept { return inner.arm(p); }
    void disarm() noexcept { inner.disarm(); }
    bool ready() const noexcept { return ++looks, inner.ready(); }
    bool reserve() noexcept { return inner.reserve(); }
    void unreserve() noexcept { inner.unreserve(); }
    void goes_on() noexcept { inner.goes_on(); }
    result<semaphore::permit> take() noexcept { return inner.take(); }
};
}  // namespace

TEST("of eight thousand who wait for all of several, each permit wakes one, the first") {
    static constexpr int count = 8'000;
    auto r = run_virtually([]() -> result<void> {
        semaphore here(0), there(count);
        std::vector<int> order;
        int looked = 0;
        task_group g;
        for (int i = 0; i != count; ++i) {
            static_cast<void>(g.spawn(small, [&, i] {
                counting one(here, looked);
                auto both = wait_all(one, there);
                REQUIRE(both.ok());
                std::get<0>(*both)->keep();
                std::get<1>(*both)->keep();
                order.push_back(i);
            }));
        }
        CHECK(yield().ok());
        looked = 0;
        for (int i = 0; i != count; ++i) {
            CHECK(here.release().ok());
            CHECK(yield().ok());
            CHECK_EQ(order.size(), static_cast<std::size_t>(i + 1));
        }
        CHECK(looked <= 4 * count);
        for (int i = 0; i != count; ++i) CHECK_EQ(order[static_cast<std::size_t>(i)], i);
        return g.join();
    });
    CHECK(r.ok());
}

TEST("a permit that passes from one to another of eight thousand who wait for it, and for more, wakes each once") {
    static constexpr int count = 8'000;
    auto r = run_virtually([]() -> result<void> {
        semaphore one(1);
        int had = 0;
        task_group g;
        for (int i = 0; i != count; ++i) {
            static_cast<void>(g.spawn(small, [&] {
                auto mine = wait_all(one, in(1h));
                had += mine.ok();
                static_cast<void>(yield());
            }));
        }
        CHECK(g.join().ok());
        CHECK_EQ(had, count);
        CHECK_EQ(one.available(), 1U);
        return {};
    });
    CHECK(r.ok());
}

TEST("ten thousand who wait for more than a semaphore, or a channel, are in nobody's way") {
    static constexpr int count = harness::tasks_at_once(10'000), rounds = 100'000;
    auto r = run_virtually([]() -> result<void> {
        semaphore permits(0);
        channel<int> values(1), hands(0);
        event never_set;
        task_group g;
        for (int i = 0; i != count; ++i) {
            static_cast<void>(g.spawn(small, [&, how = i % 4] {
                if (how == 0) static_cast<void>(wait_all(permits, never_set));
                if (how == 1) static_cast<void>(wait_all(values, never_set));
                if (how == 2) static_cast<void>(wait_all(sending(values, 1), never_set));
                if (how == 3) static_cast<void>(wait_all(hands, never_set));
            }));
        }
        int handed = 0;
        static_cast<void>(g.spawn([&] {
            while (hands.receive()) ++handed;
        }));
        CHECK(yield().ok());
        for (int i = 0; i != rounds; ++i) {
            CHECK(permits.release().ok());
            permits.try_acquire()->keep();
            CHECK(values.try_send(int(i)).ok());
            CHECK_EQ(values.try_receive().value_or(-1), i);
            if (i % 10 == 0) CHECK(hands.send(int(i)).ok());
        }
        CHECK(yield().ok());
        CHECK_EQ(handed, rounds / 10);
        hands.close();
        g.cancel();
        return g.join();
    });
    CHECK(r.ok());
}

TEST("what was sent while ten thousand waits were over already does not look at each of them") {
    static constexpr int count = harness::tasks_at_once(10'000), values = 200'000;
    auto r = run_virtually([]() -> result<void> {
        channel<int> c(values);
        semaphore permits(0);
        event over;
        task_group g;
        int by_event = 0;
        for (int i = 0; i != count; ++i)
            static_cast<void>(g.spawn(small, [&] { by_event += wait_any(over, c, permits)->index() == 0; }));
        CHECK(yield().ok());
        over.set();
        for (int i = 0; i != values; ++i) {
            CHECK(c.try_send(int(i)).ok());
            CHECK(permits.release().ok());
        }
        CHECK(g.join().ok());
        CHECK_EQ(by_event, count);
        CHECK_EQ(permits.available(), std::size_t{values});
        for (int i = 0; i != values; ++i) CHECK_EQ(c.try_receive().value_or(-1), i);
        return {};
    });
    CHECK(r.ok());
}

TEST("who was woken for a permit and leaves it to others has the next one woken") {
    auto r = run_virtually([]() -> result<void> {
        semaphore a(0), b(1);
        std::vector<int> order;
        auto waits = [&](int who) {
            return spawn([&, who] {
                if (wait_all(a, b)) order.push_back(who);
            });
        };
        auto first = waits(1), second = waits(2);
        CHECK(yield().ok());
        // The first is woken, and canceled before it runs: it takes what it was woken for, or leaves it.
        CHECK(a.release().ok());
        auto taken = b.try_acquire();   // … and finds the other one gone
        settle();
        CHECK(order.empty());
        taken->release();
        settle();
        CHECK_EQ(order.size(), 2U);   // each gives its permits back
        // Woken in vain, and timed out.
        auto gone = b.try_acquire();
        auto third = waits(3);
        auto short_lived = spawn([&] { return wait_all(a, b, in(1ms)).ok() ? 1 : 0; });
        CHECK(sleep_for(10ms).ok());
        gone->release();
        CHECK_EQ(short_lived.get().value_or(-1), 0);
        settle();
        CHECK(order == (std::vector<int>{1, 2, 3}));
        return {};
    });
    CHECK(r.ok());
}

// -- calls, emitters, futures, pools

TEST("twenty thousand synchronized calls, and as many of two types of one group, find the newest of theirs") {
    constexpr int count = harness::tasks_at_once(many) / 4;   // two of them at once
    auto r = run_virtually([]() -> result<void> {
        int running = 0, most = 0;
        async_function<int(int)> one_by_one([&](int i) {
            most = std::max(most, ++running);
            static_cast<void>(yield());
            --running;
            return i;
        }, {.policy = call_policy::synchronized});
        std::vector<future<int>> all;
        for (int i = 0; i != count; ++i) all.push_back(one_by_one(i));
        for (int i = 0; i != count; ++i) CHECK_EQ(all[static_cast<std::size_t>(i)].get().value_or(-1), i);
        CHECK_EQ(most, 1);

        event over;
        policy_group group;
        int behind = 0;
        async_function<int()> counts([&](call_context<int>& c) {
            behind += c.last().done() ? 0 : 1;
            static_cast<void>(over.wait());
            return 1;
        }, {.policy = call_policy::pass_last, .group = &group});
        async_function<long()> other([&] {
            static_cast<void>(over.wait());
            return 2L;
        }, {.policy = call_policy::pass_last, .group = &group});
        all.clear();
        std::vector<future<long>> others;
        for (int i = 0; i != count; ++i) {
            all.push_back(counts());
            others.push_back(other());
        }
        over.set();
        for (auto& f : all) CHECK_EQ(f.get().value_or(0), 1);
        for (auto& f : others) CHECK_EQ(f.get().value_or(0), 2L);
        return {};
    });
    CHECK(r.ok());
}

TEST("the newest unfinished call of a type is passed on, whichever of the older and newer ones have ended") {
    auto r = run_virtually([]() -> result<void> {
        policy_group group;
        std::vector<std::unique_ptr<event>> ends;
        for (int i = 0; i != 6; ++i) ends.push_back(std::make_unique<event>());
        std::vector<future<int>> lasts;
        async_function<int(int)> f([&](call_context<int>& c, int i) {
            lasts.push_back(c.last());
            static_cast<void>(ends[static_cast<std::size_t>(i)]->wait());
            return i;
        }, {.policy = call_policy::pass_last, .group = &group});
        async_function<long()> other([] { return 1L; }, {.policy = call_policy::pass_last, .group = &group});
        auto a = f(0), b = f(1);
        CHECK_EQ(other().get().value_or(0), 1L);
        auto c = f(2);
        ends[1]->set();
        settle();
        auto d = f(3);          // the newest is c
        ends[2]->set();
        ends[3]->set();
        settle();
        auto e = f(4);          // a alone is left
        ends[0]->set();
        ends[4]->set();
        settle();
        auto g = f(5);          // none is
        ends[5]->set();
        CHECK_EQ(lasts.size(), 6U);
        lasts.resize(6);
        CHECK_EQ(lasts[1].get().value_or(-1), 0);
        CHECK_EQ(lasts[2].get().value_or(-1), 1);
        CHECK_EQ(lasts[3].get().value_or(-1), 2);
        CHECK_EQ(lasts[4].get().value_or(-1), 0);
        CHECK(lasts[5].get() == errc::wrong_state);
        return {};
    });
    CHECK(r.ok());
}

TEST("sixty thousand connect and disconnect beside one who watches, and as many watchers hear of one") {
    constexpr int count = 60'000;
    emitter<int> e(count);
    std::size_t told = 0, called = 0, last = 0;
    std::vector<connection> all;
    {
        auto const watch = e.on_change([&](connection_change const& c) {
            ++told;
            last = c.size;
        });
        for (int i = 0; i != count; ++i) all.push_back(e.connect([&](int) { ++called; }));
        CHECK_EQ(told, std::size_t{count});
        CHECK_EQ(last, std::size_t{count});
        all.clear();
        CHECK_EQ(told, 2 * std::size_t{count});
        CHECK_EQ(last, 0U);
    }
    for (int i = 0; i != count; ++i) all.push_back(e.on_change([](connection_change const&) {}));
    auto const one = e.connect([&](int) { ++called; });
    for (int i = 0; i != count; ++i) e.emit(1);
    CHECK_EQ(called, std::size_t{count});
}

TEST("at an emitter's end its connections and watchers end in the order in which they were made, the first ones first") {
    std::string ended;
    struct note {
        std::string* to;
        char what;
        note(std::string& s, char c) : to(&s), what(c) {}
        note(note&& other) noexcept : to(std::exchange(other.to, nullptr)), what(other.what) {}
        ~note() {
            if (to) *to += what;
        }
        void operator()(int) const {}
        void operator()(connection_change const&) const {}
    };
    std::vector<connection> all;
    {
        emitter<int> e;
        all.push_back(e.on_change(note(ended, 'a')));
        all.push_back(e.connect(note(ended, 'b')));
        all.push_back(e.on_change(note(ended, 'c')));
        all.push_back(e.connect_first(note(ended, 'd')));
        all.push_back(e.on_change(note(ended, 'e')));
        all.push_back(e.connect(note(ended, 'f')));
        all.push_back(e.connect_first(note(ended, 'g')));
        ended.clear();
    }
    CHECK_EQ(ended, "gdabcef");
}

TEST("a hundred thousand futures follow one another from either end, or onto a long chain, and all give their outcome") {
    constexpr std::size_t count = 100'000;
    auto r = run_virtually([]() -> result<void> {
        for (int how = 0; how != 3; ++how) {
            std::vector<promise<int>> all(count), more(how == 2 ? count : 0);
            std::vector<future<int>> futures;
            for (auto& p : all) futures.push_back(p.get_future());
            int heard = 0;
            [[maybe_unused]] auto const watch = all[1].get_future().on_progress([&](progress const&) { ++heard; });
            if (how != 1)
                for (std::size_t i = 1; i != count; ++i) CHECK(all[i].follow(futures[i - 1]).ok());
            else
                for (std::size_t i = count - 1; i != 0; --i) CHECK(all[i].follow(futures[i - 1]).ok());
            CHECK(all[0].report(1, 2).ok());
            // Short ones, each with a follower, onto the end of the long one.
            for (std::size_t i = 0; i + 1 < more.size(); i += 2) {
                CHECK(more[i].follow(more[i + 1].get_future()).ok());
                CHECK(more[i + 1].follow(futures[count - 1]).ok());
            }
            for (auto& f : futures) CHECK(!f.cancelable());
            CHECK(all[0].follow(futures[count - 1]) == errc::deadlock);
            CHECK(all[0].set(7).ok());
            for (auto& f : futures) CHECK_EQ(f.get().value_or(0), 7);
            if (!more.empty()) CHECK_EQ(more[0].get_future().get().value_or(0), 7);
            settle();
            CHECK_EQ(heard, 1);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("of a chain of futures in which each is waited for, each is canceled by itself, and the others go on") {
    constexpr std::size_t count = harness::tasks_at_once(10'000);
    auto r = run_virtually([]() -> result<void> {
        std::vector<promise<int>> all(count);
        std::vector<future<int>> futures;
        for (auto& p : all) futures.push_back(p.get_future());
        bool canceled = false;
        [[maybe_unused]] auto const h = all[0].on_cancel([&] { canceled = true; });
        for (std::size_t i = 1; i != count; ++i) CHECK(all[i].follow(futures[i - 1]).ok());
        std::vector<task<void>> waiting;
        for (std::size_t i = count - 1; i != 0; --i) waiting.push_back(spawn(small, [&, i] { static_cast<void>(futures[i].wait()); }));
        CHECK(yield().ok());
        for (std::size_t i = 0; i + 1 < waiting.size(); ++i) {
            CHECK(waiting[i].cancel());
            CHECK(futures[count - 1 - i].done());
            CHECK(!futures[count - 2 - i].done());
        }
        CHECK(!canceled);
        CHECK(all[0].set(1).ok());
        CHECK_EQ(futures[1].get().value_or(0), 1);
        CHECK(futures[count - 1].get() == errc::task_canceled);
        return {};
    });
    CHECK(r.ok());
}

TEST("a future of a chain that was cut has its own outcome, and what it followed another") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> root, middle, last;
        [[maybe_unused]] auto const h = root.on_cancel([] {});
        auto at_root = root.get_future(), at_middle = middle.get_future(), at_last = last.get_future();
        CHECK(middle.follow(at_root).ok());
        CHECK(last.follow(at_middle).ok());
        CHECK(at_last.cancelable() && at_middle.cancelable());   // ways are known
        auto keeps = spawn([&] { return at_root.get(); });
        CHECK(yield().ok());
        CHECK(at_middle.cancel());
        CHECK(at_last.get() == errc::task_canceled);
        CHECK(!at_root.done());
        CHECK(root.set(3).ok());
        CHECK_EQ(keeps.get().value_or(0), 3);
        CHECK(at_last.get() == errc::task_canceled);
        // A shield on the way is seen by those who knew the way.
        promise<int> deep;
        [[maybe_unused]] auto const on_deep = deep.on_cancel([] {});
        auto shielded = deep.get_future().shield();
        promise<int> outer;
        CHECK(outer.follow(shielded).ok());
        CHECK(!outer.get_future().cancelable());
        CHECK(deep.get_future().cancelable());
        CHECK(deep.set(4).ok());
        return {};
    });
    CHECK(r.ok());
}

TEST("joining a pool does not look at its jobs, but for a job of its own") {
    constexpr int count = harness::tasks_at_once(10'000);
    auto r = run_virtually([]() -> result<void> {
        task_pool pool(count + 1, {.bound = count});
        event over;
        for (int i = 0; i != count; ++i) CHECK(pool.submit([&] { static_cast<void>(over.wait()); }).ok());
        errc own{};
        CHECK(pool.submit([&] { own = ending_of(pool.join()); }).ok());
        settle();
        CHECK(own == errc::deadlock);
        async_function<bool()> outside([&] { return pool.join(in(1ms)) == errc::timed_out; });
        CHECK(outside().get().value_or(false));
        for (int i = 0; i != 10 * count; ++i) CHECK(pool.join(in(0s)) == errc::timed_out);
        over.set();
        return pool.join();
    });
    CHECK(r.ok());
}

TEST("tasks are run at once from anywhere among fifty thousand that are ready, and the others keep their order") {
    constexpr std::size_t count = harness::tasks_at_once(50'000);
    auto r = run_virtually([]() -> result<void> {
        std::vector<std::size_t> ran;
        std::vector<task<void>> tasks;
        harness::random random(harness::seed());
        for (std::size_t i = 0; i != count; ++i) tasks.push_back(spawn(small, [&ran, i] { ran.push_back(i); }));
        std::vector<bool> early(count);
        for (std::size_t n = 0; n != count / 2; ++n) {
            std::size_t const one = random.below(count);
            bool const again = early[one];
            early[one] = true;
            CHECK_EQ(run_now(tasks[one]).ok(), !again);
            if (!again) CHECK_EQ(ran.back(), one);
        }
        std::size_t const so_far = ran.size();
        for (auto& t : tasks) CHECK(t.join().ok());
        REQUIRE(ran.size() == count);
        for (std::size_t i = so_far + 1; i < count; ++i) CHECK(ran[i - 1] < ran[i]);
        return {};
    });
    CHECK(r.ok());
}
