// Trees of tasks, groups, shields and deadline scopes, grown at random in virtual time, that cancel each other, against
// a small model: who runs next, how each wait ends, and who ended it.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <memory>
#include <vector>

#include <spruce/spruce.hpp>
#include <spruce/testing.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../harness/harness.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// How a wait ends: errc{} for ok, and who is to blame.
struct ending {
    errc what{};
    task_id by{};
};
struct group_model;
struct frame {
    bool shield;
    task_id id;
    time_point due;
};
struct node {
    task_id id{};
    task<void> handle;
    group_model* group = nullptr;
    std::vector<frame> frames;
    bool born = false, ended = false, canceled = false, yields = false;
    task_id by{};
    bool waiting = false, uncancelable = false, timed = false, is_join = false;
    time_point due{};
    std::uint64_t armed = 0;
    group_model* joins = nullptr;
    ending expected;
    bool runs_by_timer = false;   // a callback, not a task
};
struct group_model {
    std::vector<node*> members;   // that have not ended, in spawn order
    node* waiter = nullptr;
    bool cancel_rest = false;
    result<void> failed;          // the first failure that nobody was told of
};

// The reference: a queue of who is ready, and a list of who waits.
class reference {
public:
    explicit reference(testing::simulation& w) : world_(w), seen_(w.now()) {}
    long wrong = 0, resumed = 0, by_cancel = 0, by_scope = 0, by_time = 0, unborn = 0;

    void expect(bool holds, int line) {
        if (!holds && ++wrong < 4) harness::fail(__FILE__, line, "what the model expects");
    }
    void spawned(node& n, group_model* g) {
        n.group = g;
        if (g) g->members.push_back(&n);
        queue_.push_back(&n);
    }
    void timer(node& n, time_point due) {
        n.runs_by_timer = n.waiting = n.timed = n.uncancelable = true;
        n.due = due;
        n.armed = ++sequence_;
        waiting_.push_back(&n);
    }
    // Somebody runs: it must be whose turn it is.
    void runs(node& n) {
        ++resumed;
        look_at_clock();
        skip_unborn();
        expect(!queue_.empty() && queue_.front() == &n, __LINE__);
        if (!queue_.empty()) queue_.pop_front();
        n.born = true;
    }
    // cause: what it is a consequence of; 0: it is what was canceled.
    bool cancel(node& n, task_id cause = {}) {
        if (n.ended) return false;
        if (!n.canceled) n.canceled = true, n.by = cause == task_id{} ? n.id : cause;
        if (n.waiting && !n.uncancelable && !shielded(n)) {
            ++by_cancel;
            finish(n, {errc::canceled, n.by});
        }
        return true;
    }
    void cancel(group_model& g, task_id cause = {}) {
        for (node* m : g.members) cancel(*m, cause);
    }
    // Why the node's group ends, if not because it came to its end.
    task_id cause_of(node const& n) const {
        task_id scope;
        return n.canceled ? n.by : expired_scope(n, &scope) ? scope : task_id{};
    }
    // Before a call that may wait: true if it fails at once, after a trip round the ring.
    bool refuses(node& n) {
        task_id scope;
        if (n.canceled && !shielded(n)) n.expected = {errc::canceled, n.by};
        else if (expired_scope(n, &scope)) n.expected = {errc::canceled, scope};
        else return false;
        queue_.push_back(&n);
        return true;
    }
    void yields(node& n) {
        if (refuses(n)) return;
        n.expected = {};
        n.yields = true;
        queue_.push_back(&n);
    }
    // Back from a yield it sees what has come meanwhile.
    void looks_again(node& n) {
        if (!std::exchange(n.yields, false)) return;
        task_id scope;
        if (n.canceled && !shielded(n)) n.expected = {errc::canceled, n.by};
        else if (expired_scope(n, &scope)) n.expected = {errc::canceled, scope};
    }
    void sleeps(node& n, time_point until) {
        if (until <= world_.now()) return yields(n);
        if (!refuses(n)) wait(n, until, false);
    }
    void joins(node& n, group_model& g, time_point until, bool uncancelable) {
        n.joins = g.waiter ? nullptr : &g;
        g.waiter = &n;
        n.uncancelable = uncancelable;
        wait(n, until, true);
    }
    void ends(node& n, result<void> const& how) {
        n.ended = true;
        if (!n.group) return;
        group_model& g = *n.group;
        remove(g.members, n);
        if (!how && how != errc::canceled) {
            if (g.failed.ok() && g.cancel_rest) cancel(g);
            if (g.failed.ok()) g.failed = how;
        }
        if (g.members.empty() && g.waiter) finish(*g.waiter, {});
    }
    bool anybody() {
        skip_unborn();
        return !queue_.empty() || !waiting_.empty();
    }
    static bool shielded(node const& n) {
        return std::any_of(n.frames.begin(), n.frames.end(), [](frame const& f) { return f.shield; });
    }
    // Whether it would be refused, without being asked.
    bool must_end(node const& n) const {
        task_id scope;
        return (n.canceled && !shielded(n)) || expired_scope(n, &scope);
    }

private:
    // The outermost scope within the innermost shield that has passed.
    bool expired_scope(node const& n, task_id* which) const {
        bool any = false;
        for (auto f = n.frames.rbegin(); f != n.frames.rend() && !f->shield; ++f)
            if (f->due <= world_.now()) any = true, *which = f->id;
        return any;
    }
    time_point first_scope(node const& n) const {
        time_point first = time_point::max();
        for (auto f = n.frames.rbegin(); f != n.frames.rend() && !f->shield; ++f) first = std::min(first, f->due);
        return first;
    }
    void wait(node& n, time_point until, bool is_join) {
        n.waiting = true;
        n.is_join = is_join;
        n.due = n.uncancelable ? until : std::min(until, first_scope(n));
        n.timed = n.due != time_point::max();
        if (n.timed) n.armed = ++sequence_;
        waiting_.push_back(&n);
    }
    void finish(node& n, ending how) {
        n.waiting = n.uncancelable = false;
        if (n.joins) n.joins->waiter = nullptr, n.joins = nullptr;
        n.expected = how;
        remove(waiting_, n);
        queue_.push_back(&n);
    }
    // Where the loop itself failed, the model knows no more who waits.
    void remove(std::vector<node*>& from, node& n) {
        auto const at = std::find(from.begin(), from.end(), &n);
        expect(at != from.end(), __LINE__);
        if (at != from.end()) from.erase(at);
    }
    // When the clock has moved, all that was due came into the queue before anybody ran.
    void look_at_clock() {
        if (world_.now() == seen_) return;
        skip_unborn();
        expect(queue_.empty(), __LINE__);   // time stands still while somebody is ready
        seen_ = world_.now();
        std::vector<node*> due;
        for (node* n : waiting_)
            if (n->timed && n->due <= seen_) due.push_back(n);
        std::sort(due.begin(), due.end(), [](node* a, node* b) {
            return a->due != b->due ? a->due < b->due : a->armed < b->armed;
        });
        expect(!due.empty(), __LINE__);
        for (node* n : due) {
            task_id scope;
            bool const by_its_scope = !n->uncancelable && expired_scope(*n, &scope);
            ++(by_its_scope ? by_scope : by_time);
            if (by_its_scope) finish(*n, {errc::canceled, scope});
            else finish(*n, {n->is_join ? errc::timed_out : errc{}, {}});
        }
    }
    // One canceled before it began takes its turn to end, and nobody sees it.
    void skip_unborn() {
        while (!queue_.empty() && !queue_.front()->born && queue_.front()->canceled && !queue_.front()->runs_by_timer) {
            node& n = *queue_.front();
            queue_.pop_front();
            ++unborn;
            ends(n, errc::canceled);
        }
    }

    testing::simulation& world_;
    std::deque<node*> queue_;
    std::vector<node*> waiting_;
    std::uint64_t sequence_ = 0;
    time_point seen_;
};

// What trees grow on, some of them one after the other: a loop of its own for each would be most of the work.
struct ground {
    testing::simulation world{{.stuck_after = 1s}};
    loop l{loop_options{.on = world.on()}};
};

class tree {
    testing::simulation& world_;
    loop& loop_;

public:
    tree(ground& on, std::uint64_t seed) : world_(on.world), loop_(on.l), random_(seed) {}
    void run() {
        REQUIRE(loop_.status().ok());
        loop_.on_unhandled([](unhandled const&) {});
        for (std::uint64_t i = 1 + random_.below(3); i != 0; --i) grow(nullptr, nullptr);
        for (std::uint64_t i = random_.below(6); i != 0; --i) add_timer();
        REQUIRE(loop_.run().ok());   // else tasks are left that know this tree
        CHECK(!model.anybody());
        for (auto& n : nodes_) {
            if (n->runs_by_timer) continue;
            CHECK(n->handle.done() && n->ended);
            CHECK(!n->handle.cancel());
            // get() can be asked on the loop's thread without a wait, once it has ended.
            auto const got = n->handle.get();
            if (!n->born) CHECK(got == errc::task_canceled && (n->by == task_id{} || got.error().is_from(n->by)));
        }
        nodes_.clear();
    }
    reference model{world_};

private:
    static constexpr std::size_t most = 80;

    void grow(task_group* g, group_model* of) {
        if (nodes_.size() >= most) return;
        nodes_.push_back(std::make_unique<node>());
        node& n = *nodes_.back();
        auto const body = [this, &n]() -> result<void> { return live(n); };
        auto t = g ? g->spawn(body) : spawn(body);
        n.id = t.id();
        n.handle = std::move(t);
        model.spawned(n, of);
    }
    void add_timer() {
        nodes_.push_back(std::make_unique<node>());
        node& n = *nodes_.back();
        time_point const due = some_time() + 1ms;
        model.timer(n, due);
        loop_.call_at(due, [this, &n] {
            model.runs(n);
            n.ended = true;
            for (std::uint64_t i = 1 + random_.below(3); i != 0; --i) cancel_somebody();
        });
    }
    // On a grid of milliseconds, so that many things fall on one time.
    time_point some_time() {
        auto const now = std::chrono::floor<std::chrono::milliseconds>(world_.now().time_since_epoch());
        return time_point(now + std::chrono::milliseconds(random_.below(12)));
    }
    void cancel_somebody() {
        std::size_t const which = random_.below(nodes_.size());
        node& n = *nodes_[which];
        if (n.runs_by_timer) return;
        bool const done = n.handle.cancel();
        model.expect(done == model.cancel(n), __LINE__);
    }

    result<void> live(node& n) {
        model.runs(n);
        model.expect(this_task::id() == n.id && !n.canceled, __LINE__);
        result<void> r = block(n, 3);
        if (random_.chance(10)) r = errc::broken;
        model.expect(n.frames.empty(), __LINE__);
        model.ends(n, r);
        return r;
    }
    // What a wait gave, against what the model says of it.
    void check(node& n, result<void> const& got) {
        model.runs(n);
        model.looks_again(n);
        ending const e = n.expected;
        if (e.what == errc{}) {
            model.expect(got.ok(), __LINE__);
        } else {
            model.expect(got == e.what, __LINE__);
            model.expect(e.by == task_id{} || (!got.ok() && got.error().is_from(e.by)), __LINE__);
        }
        model.expect(this_task::cancel_requested() == model.must_end(n), __LINE__);
    }
    result<void> block(node& n, int depth) {
        for (std::uint64_t steps = 1 + random_.below(4); steps != 0; --steps) {
            result<void> r = step(n, depth);
            if (!r && random_.chance(60)) return r;
        }
        return {};
    }
    result<void> step(node& n, int depth) {
        switch (random_.below(depth == 0 ? 5 : 9)) {
        case 0: {
            model.yields(n);
            result<void> r = yield();
            check(n, r);
            return r;
        }
        case 1: cancel_somebody(); return {};
        case 2:
        case 3:
        case 4: {
            time_point const until = some_time();
            model.sleeps(n, until);
            result<void> r = sleep_until(until);
            check(n, r);
            return r;
        }
        case 5: {
            cancel_shield const shield;
            n.frames.push_back({true, {}, {}});
            auto r = block(n, depth - 1);
            n.frames.pop_back();
            return r;
        }
        case 6: return scope(n, depth);
        default: return group(n, depth);
        }
    }
    result<void> scope(node& n, int depth) {
        time_point const due = some_time();
        task_id mine;
        result<void> inner;
        auto r = with_deadline(at(due), [&](task_id id) -> result<void> {
            mine = id;
            n.frames.push_back({false, id, due});
            inner = block(n, depth - 1);
            n.frames.pop_back();
            return inner;
        });
        bool const expired = inner == errc::canceled && inner.error().is_from(mine);
        model.expect(expired ? r == errc::timed_out && r.error().is_from(mine) : same(r, inner), __LINE__);
        return r;
    }
    static bool same(result<void> const& a, result<void> const& b) { return a.ok() ? b.ok() : b == a.error(); }
    result<void> group(node& n, int depth) {
        auto g = std::make_unique<group_model>();
        g->cancel_rest = random_.chance(50);
        result<void> r;
        bool waits = false;
        {
            task_group real(g->cancel_rest ? on_error::cancel_rest : on_error::keep_going);
            for (std::uint64_t k = 1 + random_.below(4); k != 0; --k) grow(&real, g.get());
            if (random_.chance(70)) r = block(n, depth - 1);
            if (random_.chance(30)) {
                std::size_t const had = g->members.size();
                model.cancel(*g);
                model.expect(real.cancel() == had, __LINE__);
            }
            model.expect(real.size() == g->members.size(), __LINE__);
            if (r.ok() && random_.chance(70)) r = join(n, real, *g);
            // Its end cancels, and waits whatever happens.
            waits = !g->members.empty();
            if (waits) {
                model.cancel(*g, model.cause_of(n));
                model.joins(n, *g, time_point::max(), true);
            }
        }
        if (waits) {
            model.runs(n);
            model.expect(n.expected.what == errc{} && g->members.empty(), __LINE__);
        }
        groups_.push_back(std::move(g));
        return r;
    }
    result<void> join(node& n, task_group& real, group_model& g) {
        time_point const until = random_.chance(50) ? some_time() : time_point::max();
        bool const refused = model.refuses(n);
        bool const at_once = !refused && (g.members.empty() || until <= world_.now());
        bool const empty = g.members.empty();
        if (!refused && !at_once) model.joins(n, g, until, false);
        auto r = real.join(until == time_point::max() ? never() : at(until));
        if (at_once) {
            if (!empty) model.expect(r == errc::timed_out, __LINE__);
            else tell(g, r);
            return r;
        }
        model.runs(n);
        if (n.expected.what == errc{}) {
            tell(g, r);
        } else {
            model.expect(r == n.expected.what, __LINE__);
            model.expect(n.expected.by == task_id{} || (!r.ok() && r.error().is_from(n.expected.by)), __LINE__);
        }
        return r;
    }
    // An empty group's join says what failed, once.
    void tell(group_model& g, result<void> const& r) {
        model.expect(same(r, g.failed), __LINE__);
        g.failed = {};
    }

    harness::random random_;
    std::vector<std::unique_ptr<node>> nodes_;
    std::vector<std::unique_ptr<group_model>> groups_;
};
}  // namespace

TEST_FOR(1200, "random trees of tasks, groups, shields and deadlines wait, end and are canceled as a model says") {
    harness::random seeds(harness::seed());
    long resumed = 0, by_cancel = 0, by_scope = 0, by_time = 0, unborn = 0;
    long trees = harness::nightly() ? 1'000'000 : 10'000;
    if (SPRUCE_TSAN) trees /= 50;   // to that one each new task is a new thread
    std::unique_ptr<ground> here;
    for (long n = trees; n != 0; --n) {
        std::uint64_t const seed = seeds.next();
        if (!here || n % 20 == 0) {
            here.reset();
            here = std::make_unique<ground>();
        }
        auto t = std::make_unique<tree>(*here, seed);
        t->run();
        if (t->model.wrong != 0) std::printf("the tree of seed %llu\n", static_cast<unsigned long long>(seed));
        REQUIRE(t->model.wrong == 0);
        resumed += t->model.resumed;
        by_cancel += t->model.by_cancel;
        by_scope += t->model.by_scope;
        by_time += t->model.by_time;
        unborn += t->model.unborn;
    }
    CHECK(resumed > 10 * trees);
    for (long const seen : {by_cancel, by_scope, by_time, unborn}) CHECK(seen > trees / 10);
}
