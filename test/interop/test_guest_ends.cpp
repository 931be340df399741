// The beginning and the end of an interleaved run: hooks, stops, hosts that end first, wrong uses, forks.
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <spruce/spruce.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../harness/axes.hpp"
#include "../harness/forked.hpp"
#include "../harness/guest_scenes.hpp"
#include "../harness/queue_host.hpp"
#include "../harness/thread_count.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::is_over;
using harness::queue_host;
using harness::threads;
using harness::threads_become;
using harness::world;

namespace {
// Hooks that say where they are, and whose first shutdown phase waits for a task.
struct told_hooks {
    std::string seen;
    explicit told_hooks(loop& l) {
        l.on_start(start_phase::before, [this] { seen += 'b'; });
        l.on_start([this] { seen += 's'; });
        l.on_start(start_phase::after, [this] { seen += 'a'; });
        l.on_shutdown(shutdown_phase::before, [this, &l] {
            seen += 'B';
            spawn([this, held = l.hold()] {
                CHECK(sleep_for(2ms).ok());
                seen += 't';
            });
        });
        l.on_shutdown(shutdown_phase::during, [this] { seen += 'D'; });
        l.on_shutdown(shutdown_phase::after, [this] { seen += 'A'; });
    }
};
}  // namespace

TEST("interleave() runs the start hooks and comes back; stop() runs those of the shutdown in turns, and waits for tasks") {
    world w;
    queue_host host;
    loop l(w.options());
    told_hooks hooks(l);
    int const before = threads();
    REQUIRE(l.interleave(host.post()).ok());
    CHECK_EQ(std::string_view(hooks.seen), "bsa");
    CHECK(threads_become(before + 1));
    CHECK(l.stop().ok());
    CHECK_EQ(std::string_view(hooks.seen), "bsa");   // nothing of ours runs but in a turn
    CHECK(host.run(is_over(l)));
    CHECK_EQ(std::string_view(hooks.seen), "bsaBtDA");
    CHECK(threads_become(before));
    CHECK(host.posts() >= 2);
    // And again.
    hooks.seen.clear();
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(l.remote().stop().ok());
    CHECK(host.run(is_over(l)));
    CHECK_EQ(std::string_view(hooks.seen), "bsaBtDA");
    // And on its own.
    hooks.seen.clear();
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(hooks.seen), "bsaBtDA");
}

TEST("a hold that a first start hook takes delays the other start hooks by turns of the host") {
    world w;
    queue_host host;
    loop l(w.options());
    std::string seen;
    l.on_start(start_phase::before, [&] {
        spawn([&, held = l.hold()] {
            CHECK(sleep_for(1ms).ok());
            seen += 'b';
        });
    });
    l.on_start([&] { seen += 's'; });
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(seen.empty());
    CHECK(host.run([&] { return seen.size() == 2; }));
    CHECK_EQ(std::string_view(seen), "bs");
    // A hook that comes late has its go in this run.
    l.on_start([&] { seen += 'l'; });
    CHECK(host.run([&] { return seen.size() == 3; }));
    // A hold that plain code gives back between two turns is not slept over.
    hold_token plain;
    l.on_shutdown(shutdown_phase::before, [&] { plain = l.hold(); });
    CHECK(l.stop().ok());
    while (host.step(20ms)) {}
    CHECK(l.running() && l.state() == loop_state::stopping);
    plain.release();
    CHECK(host.run(is_over(l)));
}

TEST("stop() from a callback, a task, plain code, another thread and a start hook each end the run and its thread") {
    world w;
    int const before = threads();
    for (int from = 0; from != 6; ++from) {
        queue_host host;
        loop l(w.options());
        bool shut = false;
        l.on_shutdown(shutdown_phase::after, [&] { shut = true; });
        std::optional<std::thread> other;
        if (from == 0) l.call_soon([&] { CHECK(l.stop().ok()); });
        if (from == 1) spawn([&] { CHECK(l.stop().ok()); });
        if (from == 4) l.on_start([&] { CHECK(l.stop().ok()); });
        if (from == 5) l.call_soon([&] { CHECK(l.leave().ok()); });
        REQUIRE(l.interleave(host.post()).ok());
        if (from == 2) CHECK(l.stop().ok());
        if (from == 3) other.emplace([ref = l.remote()] { CHECK(ref.stop().ok()); });
        CHECK(host.run(is_over(l)));
        CHECK_EQ(shut, from != 5);
        if (other) other->join();
        CHECK(threads_become(before));
        CHECK(l.stop() == errc::wrong_state);
    }
}

TEST("a second stop() ends what delays the shutdown of a guest") {
    world w;
    queue_host host;
    loop l(w.options());
    bool after = false;
    hold_token for_ever;
    l.on_shutdown(shutdown_phase::before, [&] { for_ever = l.hold(); });
    l.on_shutdown(shutdown_phase::after, [&] { after = true; });
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(l.stop().ok());
    while (host.step(20ms)) {}
    CHECK(l.running() && !after);
    CHECK(l.stop().ok());
    CHECK(host.run(is_over(l)));
    CHECK(after);
}

TEST("background tasks end with an interleaved run, in turns; the others are kept for the next") {
    world w;
    queue_host host;
    loop l(w.options());
    std::string seen;
    event never_set;
    auto back = spawn(task_options{.background = true}, [&] {
        CHECK(never_set.wait() == errc::canceled);
        cancel_shield const still;
        CHECK(sleep_for(1ms).ok());
        seen += 'b';
    });
    event go;
    auto kept = spawn([&] {
        CHECK(go.wait().ok());
        seen += 'k';
    });
    REQUIRE(l.interleave(host.post()).ok());
    while (seen.empty() && host.step(5ms)) {}
    CHECK(l.stop().ok());
    CHECK(host.run(is_over(l)));
    CHECK(back.done() && !kept.done());
    CHECK_EQ(std::string_view(seen), "b");
    go.set();
    CHECK(l.run().ok());
    CHECK_EQ(std::string_view(seen), "bk");
}

TEST("a host that ends first: the loop's end shuts the guest down by turns of its own") {
    world w;
    int const before = threads();
    for (bool const by_destroy : {false, true}) {
        queue_host host;
        std::optional<loop> l(std::in_place, w.options());
        told_hooks hooks(*l);
        bool cleaned = false;
        spawn([&] {
            CHECK(sleep_for(1h) == errc::canceled);
            cleaned = true;
        });
        REQUIRE(l->interleave(host.post()).ok());
        host.wait_for_posts(1);
        if (by_destroy) CHECK(l->destroy().ok());
        l.reset();
        CHECK_EQ(std::string_view(hooks.seen), "bsaBtDA");
        CHECK(cleaned);
        CHECK(threads_become(before));
        host.step(0ms);   // what was queued there is harmless
    }
}

TEST("what delays a shutdown for ever is over when the loop's end has waited long enough") {
    world w;
    queue_host host;
    bool after = false;
    hold_token for_ever;
    loop l(w.options());
    l.on_shutdown(shutdown_phase::before, [&] { for_ever = l.hold(); });
    l.on_shutdown(shutdown_phase::after, [&] { after = true; });
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(l.destroy(in(5ms)).ok());
    CHECK(after);
}

TEST("a background task that goes on for ever takes no longer of the loop's end than that was given") {
    world w;
    queue_host host;
    loop_options options = w.options();
    options.destroy_grace = 20s;
    loop l(options);
    static event never_set;
    spawn(task_options{.background = true}, [] {
        cancel_shield const from_it;
        static_cast<void>(never_set.wait());
    });
    REQUIRE(l.interleave(host.post()).ok());
    REQUIRE(host.step());
    time_point const began = l.time();
    time_point ended{};
    l.on_exit([&] { ended = l.time(); });
    CHECK(l.destroy(in(5ms)) == errc::tasks_left);
    CHECK(ended - began < 20s);
    // Its stack is abandoned on purpose, which the balances would count.
    harness::pass();
}

TEST("what post() holds can neither interleave nor end the loop that lets go of it at its end") {
    struct at_end {
        loop* l;
        std::vector<result<void>>* said;
        at_end(loop& of, std::vector<result<void>>& into) : l(&of), said(&into) {}
        at_end(at_end&& other) noexcept : l(std::exchange(other.l, nullptr)), said(other.said) {}
        ~at_end() {
            if (!l) return;
            said->push_back(l->interleave([](host_turn) {}));
            said->push_back(l->destroy());
        }
    };
    world w;
    int const before = threads();
    queue_host host;
    std::vector<result<void>> said;
    {
        loop l(w.options());
        REQUIRE(l.interleave([post = host.post(), kept = at_end(l, said)](host_turn turn) mutable { post(std::move(turn)); }).ok());
    }
    REQUIRE(said.size() == 2);
    CHECK(said[0] == errc::closed);
    CHECK(said[1] == errc::wrong_state);
    CHECK(threads_become(before));
}

TEST("a loop that is destroyed in a callback of its guest's run ends with that turn") {
    world w;
    int const before = threads();
    for (bool const in_hook : {false, true}) {
        queue_host host;
        auto l = std::make_unique<loop>(w.options());
        bool shut = false;
        l->on_shutdown(shutdown_phase::during, [&] { shut = true; });
        if (in_hook) l->on_start([&] { l.reset(); });
        else l->call_soon([&] { l.reset(); });
        auto const door = l->remote();
        REQUIRE(l->interleave(host.post()).ok());
        CHECK(host.run([&] { return !door.alive(); }));
        CHECK(!l);
        CHECK(!shut);   // nobody is left to be called
        CHECK(threads_become(before));
    }
}

TEST("interleaving twice, on another thread, in a run, and what an interleaved loop does not do: each is told why") {
    world w;
    queue_host host;
    loop l(w.options());
    auto const no = [](host_turn) { CHECK(false); };
    std::thread([&] { CHECK(l.interleave(no) == errc::wrong_thread); }).join();
    l.call_soon([&] {
        CHECK(l.interleave(no) == errc::wrong_state);
        CHECK(l.destroy() == errc::wrong_state);
    });
    spawn([&] { CHECK(l.interleave(no) == errc::wrong_state); });
    CHECK(l.run().ok());
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(l.interleave(no) == errc::wrong_state);
    CHECK(l.run() == errc::wrong_state);
    CHECK(l.run_forever() == errc::wrong_state);
    CHECK(l.run_once(in(0s)) == errc::wrong_state);
    CHECK(l.run_until([] { return false; }) == errc::wrong_state);
    CHECK(l.prepare() == errc::wrong_state);
    CHECK(l.dispatch() == errc::wrong_state);
    bool ran = false;
    l.call_soon([&] {
        CHECK(l.interleave(no) == errc::wrong_state);
        ran = true;
    });
    CHECK(host.run([&] { return ran; }));
    l.on_shutdown(shutdown_phase::during, [&] { CHECK(l.interleave(no) == errc::wrong_state); });
    CHECK(l.stop().ok());
    CHECK(l.interleave(no) == errc::wrong_state);   // it has not ended yet
    CHECK(host.run(is_over(l)));
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(l.destroy().ok());
    CHECK(l.interleave(no) == errc::closed);
    CHECK(loop().interleave(no).ok());
}

TEST("a guest with nothing to do ends without a call to its host") {
    world w;
    std::atomic<int> posts{0};
    for (int i = 0; i != 300; ++i) {
        loop l(w.options());
        REQUIRE(l.interleave([&](host_turn) { ++posts; }).ok());
        if (i % 2 == 0) std::this_thread::yield();
        CHECK(l.destroy().ok());
    }
    CHECK_EQ(posts.load(), 0);
}

TEST("what post holds is destroyed with the run, on the loop's thread, and moved in if it only moves") {
    world w;
    struct note_thread {
        std::thread::id* at;
        explicit note_thread(std::thread::id* a) : at(a) {}
        note_thread(note_thread&& other) noexcept : at(std::exchange(other.at, nullptr)) {}
        ~note_thread() {
            if (at) *at = std::this_thread::get_id();
        }
    };
    std::thread::id at;
    queue_host host;
    loop l(w.options());
    l.call_soon([&] { CHECK(l.stop().ok()); });
    REQUIRE(l.interleave([post = host.post(), n = note_thread(&at)](host_turn t) { post(t); }).ok());
    CHECK(at == std::thread::id());
    CHECK(host.run(is_over(l)));
    CHECK(at == std::this_thread::get_id());
}

TEST("in a forked child a guest is none any more, and may be one anew") {
    if (SPRUCE_TSAN) harness::skip("the sanitizer takes no new threads in the child of a process with several");
    if (harness::simulated()) harness::skip("forks with the real kernel");
    world w;
    queue_host host;
    loop l(w.options());
    int ran = 0;
    REQUIRE(l.interleave(host.post()).ok());
    l.call_soon([&] { ++ran; });
    host.wait_for_posts(1);
    auto const child = harness::forked([&] {
        CHECK(host.step(0ms));   // its copy of the turn runs nothing here
        if (ran != 0) ::_exit(1);
        if (!l.after_fork().ok()) ::_exit(2);
        if (l.running()) ::_exit(3);
        queue_host own;
        if (!l.interleave(own.post()).ok()) ::_exit(4);
        if (!own.run([&] { return ran == 1; })) ::_exit(5);
        if (!l.destroy().ok()) ::_exit(6);
    });
    CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
    CHECK(host.run([&] { return ran == 1; }));
}

TEST("in a child that is forked in a guest's turn, the run is over with that turn") {
    if (harness::simulated()) harness::skip("forks with the real kernel");
    world w;
    for (bool const renews : {false, true}) {
        queue_host host;
        loop l(w.options());
        int ran = 0, shut = 0, pid = -1;
        l.on_shutdown(shutdown_phase::during, [&] { ++shut; });
        l.call_soon([&] {
            pid = ::fork();
            if (pid == 0 && renews && !l.after_fork()) ::_exit(1);
        });
        REQUIRE(l.interleave(host.post()).ok());
        CHECK(host.step());
        if (pid == 0) {
            if (l.running() || shut != 0) ::_exit(2);
            if (!l.after_fork()) ::_exit(3);
            l.call_soon([&] { ++ran; });
            ::_exit(l.run().ok() && ran == 1 ? 0 : 4);
        }
        REQUIRE(pid > 0);
        int status = -1;
        while (::waitpid(pid, &status, 0) < 0) {}
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(l.running());
    }
}

TEST("a child that ends its copy of an interleaved loop leaves the parent's alone") {
    if (harness::simulated()) harness::skip("forks with the real kernel");
    world w;
    queue_host host;
    std::optional<loop> l(std::in_place, w.options());
    int ran = 0, shut = 0;
    l->on_shutdown(shutdown_phase::during, [&] { ++shut; });
    REQUIRE(l->interleave(host.post()).ok());
    auto const child = harness::forked([&] {
        l.reset();
        if (shut != 0) ::_exit(1);
    });
    CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
    l->call_soon([&] { ++ran; });
    CHECK(host.run([&] { return ran == 1; }));
}
