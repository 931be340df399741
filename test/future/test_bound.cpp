#include <functional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
std::string show(std::string const& a, std::string const& b, std::string const& c) { return a + b + c; }
std::string show_one(std::string const& a) { return a; }
struct player {
    int score = 0;
    anchor life;
    void add(int times, int n) { score += times * n; }
};
}  // namespace

TEST("bound arguments stand behind the caller's, before them, or alone") {
    using namespace std::string_literals;
    CHECK_EQ(bound(show, "b"s, "c"s)("a"s), "abc"s);
    CHECK_EQ(bound_first(show, "a"s, "b"s)("c"s), "abc"s);
    CHECK_EQ(bound_alone(show_one, "a"s)("b"s, 3), "a"s);
    CHECK_EQ(bound(show)("a"s, "b"s, "c"s), "abc"s);
    player p;
    auto add = bound_first(&player::add, &p, 3);
    add(2);
    CHECK_EQ(p.score, 6);
    int n = 0;
    bound_alone([](int& to, std::unique_ptr<int> const& by) { to += *by; }, std::ref(n), std::make_unique<int>(4))();
    CHECK_EQ(n, 4);
    static_assert(!std::invocable<decltype(add)&, std::string>);
}

TEST("bound callables are equal if what they call and its arguments are") {
    CHECK(bound(show, std::string("b")) == bound(show, std::string("b")));
    CHECK(!(bound(show, std::string("b")) == bound(show, std::string("c"))));
    CHECK(bound(show_one) == bound(show_one));
    CHECK(bound(show, std::string("b")).calls(show));
    player p, q;
    CHECK(bound_first(&player::add, &p, 1) == bound_first(&player::add, &p, 1));
    CHECK(!(bound_first(&player::add, &p, 1) == bound_first(&player::add, &q, 1)));
    auto lambda = bound([&p](int n) { p.score = n; }, 1);
    static_assert(!std::equality_comparable<decltype(lambda)>);
}

TEST("a weak callable calls as long as its anchor lives, and says closed after, wherever it was moved or copied to") {
    auto r = run_virtually([]() -> result<void> {
        auto p = std::make_unique<player>();
        auto add = weak(p->life, bound_first(&player::add, p.get(), 1));
        auto copy = add;
        std::vector<decltype(add)> many(5, add);
        many.erase(many.begin() + 1);
        auto moved = std::move(add);
        CHECK(moved(1).ok() && copy(2).ok() && many[3](4).ok());
        CHECK_EQ(p->score, 7);
        auto value = weak(p->life, [](int n) -> result<int> { return n + 1; });
        CHECK_EQ(value(1).value_or(0), 2);
        // In other hands, that outlive the object.
        SPRUCE_TRY(loop& hub, loop::current());
        emitter<int> news;
        auto c = news.connect(moved);
        hub.call_later(1s, [add = copy]() mutable { CHECK(add(1) == errc::closed); });
        news.emit(1);
        CHECK_EQ(p->score, 8);
        {
            player other;
            copy = weak(other.life, bound_first(&player::add, &other, 1));
            CHECK(copy(5).ok());
            CHECK_EQ(other.score, 5);
        }
        CHECK(!copy.alive());
        copy = moved;
        CHECK(copy.alive());
        p.reset();
        CHECK(!moved.alive());
        CHECK(moved(1) == errc::closed && copy(1) == errc::closed && many[0](1) == errc::closed && value(1) == errc::closed);
        CHECK(news.emit(2));
        return sleep_for(2s);
    });
    CHECK(r.ok());
}
