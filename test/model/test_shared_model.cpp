// Shared channels and a shared event, used by the tasks of one loop in virtual time, against a model of what lies in
// them: who is woken for something takes it itself, when it runs, unless somebody was faster or it has given up.
#include <algorithm>
#include <deque>
#include <optional>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
constexpr std::size_t capacities[] = {1, 3};
enum source { first_line, second_line, flag, local };

enum class kind {
    receive, send, wait,    // one call, of `which` channel or the event
    any_line,               // wait_any(first, second, deadline)
    any_mixed,              // wait_any(local, flag, first)
    both_lines,             // wait_all(first, second)
    line_and_flag           // wait_all(first, flag)
};
constexpr int kinds = 7;
struct call : followed {
    kind what{};
    int which = 0;
    int value = 0;
    bool parked = false, was_canceled = false, was_told = false;
    bool closed[4]{};            // these have died
    long flag_sets = 0, local_sets = 0;   // how often they had been set when it began
};

class campaign {
public:
    explicit campaign(harness::random& r) : random_(r), time_(r) {
        for (int i : {0, 1}) make_line(i);
    }
    void run() {
        for (long step = 0; step != model_steps(); ++step) {
            act();
            if (random_.chance(40)) look();   // else more before the loop hears of it
        }
        CHECK(passed_ > 1'000 && woken_ > 500 && expired_ > 300 && canceled_ > 300 && ended_ > 300 && together_ > 100);
        for (auto& c : calls_) cancel(*c);
        look();
        CHECK(calls_.empty());
    }

private:
    struct line {
        std::unique_ptr<shared_channel<int>> object;
        std::deque<int> values;
        bool closed = false;
    };
    void make_line(int i) { lines_[i] = {std::make_unique<shared_channel<int>>(capacities[i]), {}, false}; }

    static int take_front(line& l) {
        int const value = l.values.front();
        l.values.pop_front();
        return value;
    }

    // -- what the model says
    bool has_value(call const& c, int i) const { return c.closed[i] || lines_[i].closed || !lines_[i].values.empty(); }
    bool has_place(call const& c, int i) const { return c.closed[i] || lines_[i].closed || lines_[i].values.size() < capacities[i]; }
    bool is_told(call const& c) const { return c.closed[flag] || set_ || flag_sets_ != c.flag_sets; }
    bool is_told_here(call const& c) const { return here_.is_set() || local_sets_ != c.local_sets; }
    bool could_go_on(call const& c) const {
        switch (c.what) {
        case kind::receive: return has_value(c, c.which);
        case kind::send: return has_place(c, c.which);
        case kind::wait: return is_told(c);
        case kind::any_line: return has_value(c, 0) || has_value(c, 1);
        case kind::any_mixed: return is_told_here(c) || is_told(c) || has_value(c, 0);
        case kind::both_lines: return has_value(c, 0) && has_value(c, 1);
        default: return has_value(c, 0) && is_told(c);
        }
    }
    // A value, or the end, has come to it.
    void received(call const& c, int i, result<int> const& got) {
        line& l = lines_[i];
        if (c.closed[i]) {
            CHECK_EQ(ending_of(got), errc::closed);
            ++ended_;
        } else if (l.values.empty()) {
            CHECK(l.closed && got == errc::end_of_stream);
            ++ended_;
        } else {
            CHECK_EQ(got.value_or(-1), take_front(l));
            ++passed_;
            if (c.what == kind::receive) in_line(c, kind::receive, i);
        }
    }
    // Of those who wait for one thing alone, the first who came is served first. (Who was woken for another of several
    // things may find this one, too.)
    void in_line(call const& c, kind what, int i) const {
        if (!c.parked) return;
        for (auto& other : calls_) {
            if (other.get() == &c) return;
            CHECK(!(other->parked && !other->done && !other->was_canceled && other->due > loop_clock::now() &&
                    other->what == what && other->which == i && !other->closed[i]));
        }
    }
    void told(call const& c, result<void> const& got) {
        // One that was set and then died before the call went on may be said to be either.
        if (!c.closed[flag] || !c.was_told) CHECK_EQ(ending_of(got), c.closed[flag] ? errc::closed : errc{});
        CHECK(is_told(c));
        ++(got.ok() ? woken_ : ended_);
    }

    // -- calls
    void begin() {
        auto& c = *calls_.emplace_back(std::make_unique<call>());
        c.what = static_cast<kind>(random_.chance(60) ? random_.below(2) : random_.below(kinds));
        c.which = static_cast<int>(random_.below(2));
        c.value = next_++;
        deadline const dl = time_.draw(c);
        c.handle = spawn([this, &c, dl] {
            c.flag_sets = flag_sets_;
            c.local_sets = local_sets_;
            c.parked = !could_go_on(c);
            ask(c, dl);
            c.done = true;
        });
        CHECK(yield().ok());
    }
    // Whether it gave up is judged here; what it got, by the others.
    bool gave_up(call const& c, errc how) {
        if (how != errc::canceled && how != errc::timed_out) return false;
        CHECK(how == errc::canceled ? c.was_canceled : c.due <= loop_clock::now());
        ++(how == errc::canceled ? canceled_ : expired_);
        return true;
    }
    void ask(call& c, deadline dl) {
        switch (c.what) {
        case kind::receive: {
            auto const got = lines_[c.which].object->receive(dl);
            if (!gave_up(c, ending_of(got))) received(c, c.which, got);
            break;
        }
        case kind::send: {
            errc const how = ending_of(lines_[c.which].object->send(int(c.value), dl));
            if (!gave_up(c, how)) sent(c, how);
            break;
        }
        case kind::wait: {
            auto const got = flag_->wait(dl);
            if (!gave_up(c, ending_of(got))) told(c, got);
            break;
        }
        case kind::any_line: ask_for_any(c, dl); break;
        case kind::any_mixed: ask_for_mixed(c); break;
        case kind::both_lines: {
            auto all = wait_all(*lines_[0].object, *lines_[1].object, dl);
            if (gave_up(c, ending_of(all))) break;
            CHECK(could_go_on(c));
            received(c, 0, std::get<0>(*all));
            received(c, 1, std::get<1>(*all));
            ++together_;
            break;
        }
        case kind::line_and_flag: {
            auto all = wait_all(*lines_[0].object, *flag_, dl);
            if (gave_up(c, ending_of(all))) break;
            CHECK(could_go_on(c));
            received(c, 0, std::get<0>(*all));
            told(c, std::get<1>(*all));
            ++together_;
            break;
        }
        }
    }
    void ask_for_any(call& c, deadline dl) {
        auto won = wait_any(*lines_[0].object, *lines_[1].object, dl);
        if (gave_up(c, won.ok() && won->timed_out() ? errc::timed_out : ending_of(won))) {
            CHECK(!won.ok() || !could_go_on(c));
        } else if (won->index() == 0) {
            received(c, 0, won->get<0>());
        } else {
            CHECK(!has_value(c, 0));
            received(c, 1, won->get<1>());
        }
    }
    void ask_for_mixed(call& c) {
        c.due = time_point::max();
        auto won = wait_any(here_, *flag_, *lines_[0].object);
        if (gave_up(c, ending_of(won))) return;
        CHECK_EQ(is_told_here(c), won->index() == 0);
        if (won->index() == 1) told(c, won->get<1>());
        if (won->index() != 2) return;
        CHECK(!is_told(c));
        received(c, 0, won->get<2>());
    }
    void sent(call const& c, errc how) {
        line& l = lines_[c.which];
        if (c.closed[c.which] || l.closed) {
            CHECK_EQ(how, errc::closed);
            ++ended_;
            return;
        }
        CHECK_EQ(how, errc{});
        CHECK(l.values.size() < capacities[c.which]);
        l.values.push_back(c.value);
        in_line(c, kind::send, c.which);
    }
    void cancel(call& c) {
        if (c.done) return;
        c.was_canceled = true;
        c.handle.cancel();
    }

    void act() {
        int const i = static_cast<int>(random_.below(2));
        line& l = lines_[i];
        switch (random_.below(14)) {
        case 0: {
            errc const right = l.closed ? errc::closed : l.values.size() == capacities[i] ? errc::full : errc{};
            CHECK_EQ(ending_of(l.object->try_send(int(next_))), right);
            if (right == errc{}) l.values.push_back(next_);
            ++next_;
            break;
        }
        case 1: {
            auto const got = l.object->try_receive();
            if (l.values.empty()) CHECK_EQ(ending_of(got), l.closed ? errc::end_of_stream : errc::would_wait);
            else CHECK_EQ(got.value_or(-1), take_front(l));
            break;
        }
        case 2:
            flag_->set();
            set_ = true;
            ++flag_sets_;
            if (random_.chance(80)) flag_->clear(), set_ = false;
            CHECK_EQ(flag_->is_set(), set_);
            break;
        case 3:
            here_.set();
            ++local_sets_;
            here_.clear();
            break;
        case 4:
            flag_->clear();
            set_ = false;
            break;
        case 5:
        case 6:
            if (!calls_.empty()) cancel(*calls_[random_.below(calls_.size())]);
            break;
        case 7:
            look();
            time_.pass();
            break;
        case 8:
            if (random_.chance(8)) end_one(i);
            break;
        default:
            if (calls_.size() < 25) begin();
            break;
        }
    }
    void end_one(int i) {
        if (random_.chance(40)) {
            lines_[i].object->close();
            lines_[i].closed = true;
            return;
        }
        bool const of_flag = random_.chance(30);
        if (random_.chance(50)) look();
        auto const which = of_flag ? static_cast<int>(flag) : i;
        for (auto& c : calls_) {
            if (of_flag && !c->closed[flag]) c->was_told = is_told(*c);
            c->closed[which] = true;
        }
        if (of_flag) flag_.emplace(), set_ = false;
        else make_line(i);
        look();   // those who come from here on mean the new one
    }
    // Lets the loop hear of all, and sees that none of those who could go on still waits.
    void look() {
        REQUIRE(sleep_for(1us).ok());
        for (auto& c : calls_) {
            if (c->done) continue;
            CHECK(!c->was_canceled);
            CHECK(!could_go_on(*c));
        }
        std::erase_if(calls_, [](auto& c) { return c->done; });
    }

    harness::random& random_;
    model_time time_;
    line lines_[2];
    std::optional<shared_event> flag_{std::in_place};
    event here_;
    bool set_ = false;
    long flag_sets_ = 0, local_sets_ = 0;
    std::vector<std::unique_ptr<call>> calls_;
    int next_ = 0;
    long passed_ = 0, woken_ = 0, expired_ = 0, canceled_ = 0, ended_ = 0, together_ = 0;
};
}  // namespace

TEST_FOR(300, "shared channels and a shared event do what their model says among the tasks of one loop") {
    harness::random random(harness::seed());
    CHECK(run_virtually([&] { campaign(random).run(); }).ok());
}
