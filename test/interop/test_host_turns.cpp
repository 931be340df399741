// What becomes of a turn: taken, refused, dropped, called twice, late, or on the wrong thread. And of a host that is busy,
// or has nothing to do.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <dirent.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <spruce/spruce.hpp>

#include "../../src/context/sanitizers.hpp"
#include "../harness/guest_scenes.hpp"
#include "../harness/queue_host.hpp"
#include "../harness/thread_count.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::hears;
using harness::is_over;
using harness::queue_host;
using harness::threads;
using harness::threads_become;
using harness::world;

namespace {
// How often the threads of this process gave up the processor or lost it, all but the calling one.
long switches_of_others() {
    long sum = 0;
    DIR* const dir = ::opendir("/proc/self/task");
    if (!dir) harness::skip("no /proc");
    std::string const self = "/proc/self/task/" + std::to_string(static_cast<long>(::getpid())) + "/status";
    while (dirent const* const e = ::readdir(dir)) {
        std::string const path = std::string("/proc/self/task/") + e->d_name + "/status";
        if (e->d_name[0] == '.' || path == self) continue;
        std::FILE* const f = std::fopen(path.c_str(), "r");
        char line[200];
        long n = 0;
        while (f && std::fgets(line, sizeof line, f))
            if (std::sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1) sum += n;
        if (f) std::fclose(f);
    }
    ::closedir(dir);
    return sum;
}

// A guest of a queue's with a pipe's end to read from.
struct reading_guest {
    world w;
    queue_host host;
    loop l{w.options()};
    std::pair<int, int> ends = w.pipe();
    int read = 0;

    reading_guest() {
        auto const r = l.add_reader(ends.first, [this] {
            char room[8];
            read += static_cast<int>(w.read(ends.first, room, sizeof room));
        });
        REQUIRE(r.ok());
    }
    ~reading_guest() {
        l.remove_reader(ends.first);
        CHECK(l.destroy().ok());
        w.close(ends.first);
        w.close(ends.second);
    }
};
}  // namespace

TEST("a guest with nothing to do makes no call to its host, and its thread does not wake up") {
    if (SPRUCE_TSAN) harness::skip("the sanitizer has a thread of its own that wakes up");
    reading_guest g;
    auto forgotten = g.l.call_later(1h, [] {});
    CHECK(forgotten.rearm(never()));
    REQUIRE(g.l.interleave(g.host.post()).ok());
    while (g.host.step(50ms)) {}
    long const posts = g.host.posts(), before = switches_of_others();
    std::this_thread::sleep_for(harness::nightly() ? 5s : 500ms);
    CHECK_EQ(switches_of_others(), before);
    CHECK_EQ(g.host.posts(), posts);
    g.l.call_soon([] {});
    CHECK(g.host.step());
    CHECK_EQ(g.host.posts(), posts + 1);
    CHECK_EQ(g.read, 0);
}

TEST("a host that is busy gets one turn and no pile of them, however much is ready, and costs no time meanwhile") {
    if (SPRUCE_TSAN) harness::skip("the sanitizer has a thread of its own that wakes up");
    reading_guest g;
    int posted = 0;
    REQUIRE(g.l.interleave(g.host.post()).ok());
    g.w.write(g.ends.second, "abc");
    g.host.wait_for_posts(1);
    for (int i = 0; i != 1000; ++i) CHECK(g.l.remote().call([&] { ++posted; }).ok());
    std::this_thread::sleep_for(20ms);
    long const before = switches_of_others();
    std::this_thread::sleep_for(200ms);
    CHECK_EQ(switches_of_others(), before);
    CHECK_EQ(g.host.posts(), 1);
    CHECK_EQ(g.host.waiting(), 1U);
    CHECK(g.host.run([&] { return g.read == 3 && posted == 1000; }));
    CHECK_EQ(g.host.most(), 1U);
    CHECK(g.host.posts() < 5);
}

TEST("a post() that refuses is told to the hook once, and asked again until it takes the turn") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    bool ran = false;
    l.call_soon([&] { ran = true; });
    std::atomic<int> asked{0};
    REQUIRE(l.interleave([&, post = host.post()](host_turn t) -> bool {
                 if (++asked < 4) return false;
                 post(t);
                 return true;
             }).ok());
    CHECK(host.run([&] { return ran; }));
    CHECK_EQ(asked.load(), 4);
    REQUIRE(heard.texts.size() == 1);
    CHECK(heard.has("3 times"));
    CHECK(heard.reasons[0] == errc::full);
}

TEST("a post() may give a result, whose error is the one that the hook is told") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    std::atomic<int> asked{0};
    l.call_soon([] {});
    REQUIRE(l.interleave([&, post = host.post()](host_turn t) -> result<void> {
                 if (++asked == 1) return error::from_errno(ENOBUFS);
                 post(t);
                 return {};
             }).ok());
    CHECK(host.step());
    REQUIRE(heard.reasons.size() == 1);
    CHECK(heard.reasons[0] == error::from_errno(ENOBUFS));
    CHECK(!heard.has("times"));
}

#if SPRUCE_EXCEPTIONS
TEST("a post() that throws is told to the hook, and asked again") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    int beats = 0;
    l.call_every(1ms, [&] { ++beats; });
    std::atomic<int> asked{0};
    REQUIRE(l.interleave([&, post = host.post()](host_turn t) {
                 int const n = ++asked;
                 if (n == 2) throw std::runtime_error("the host is full");
                 if (n == 5) throw 5;
                 post(t);
             }).ok());
    CHECK(host.run([&] { return beats >= 5 && asked > 6; }));
    REQUIRE(heard.texts.size() == 2);
    CHECK(heard.has("the host is full"));
    CHECK(heard.has("not a std::exception"));
    CHECK(heard.reasons[0] == errc::task_failed);
}
#endif

TEST("a turn that the host lets go of uncalled comes again") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    bool ran = false;
    l.call_soon([&] { ran = true; });
    std::atomic<int> asked{0};
    REQUIRE(l.interleave([&, post = host.post()](host_turn t) {
                 if (++asked != 1) post(t);   // the first is gone with the argument
             }).ok());
    host.wait_for_posts(1);
    host.forget();
    host.wait_for_posts(2);
    CHECK(host.run([&] { return ran; }));
    CHECK_EQ(asked.load(), 3);
    REQUIRE(heard.texts.size() == 1);
    CHECK(heard.has("did not call"));
}

TEST("a turn runs once: a second call of it, of a copy, or a late one does nothing") {
    world w;
    queue_host host;
    std::optional<loop> l(std::in_place, w.options());
    std::optional<host_turn> kept;
    int ran = 0;
    l->on_turn([&] { ++ran; });
    l->call_soon([] {});
    std::atomic<bool> first{true};
    REQUIRE(l->interleave([&, post = host.post()](host_turn t) {
                 if (first.exchange(false)) kept = t;
                 post(t);
             }).ok());
    CHECK(host.step());
    CHECK_EQ(ran, 1);
    for (int i = 0; i != 3; ++i) (*kept)();
    CHECK_EQ(ran, 1);
    l->call_soon([] {});
    host.wait_for_posts(2);
    (*kept)();   // of an earlier number
    CHECK_EQ(ran, 1);
    CHECK(host.step());
    CHECK_EQ(ran, 2);
    l->call_soon([&] { ran += 100; });
    host.wait_for_posts(3);
    l.reset();
    int const after = ran;
    CHECK(host.step(0ms));   // the one that was queued, after the loop's end
    (*kept)();
    host_turn const copy = *kept;
    copy();
    CHECK_EQ(ran, after);
}

TEST("a turn that is called on another thread runs nothing, is told, and comes again") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    std::thread::id on;
    l.call_soon([&] { on = std::this_thread::get_id(); });
    std::atomic<int> asked{0};
    REQUIRE(l.interleave([&, post = host.post()](host_turn t) {
                 if (++asked == 1) t();   // right here
                 else if (asked == 2) std::thread([t] { t(); }).join();
                 else post(t);
             }).ok());
    CHECK(host.run([&] { return on != std::thread::id(); }));
    CHECK(on == std::this_thread::get_id());
    CHECK_EQ(asked.load(), 3);
    REQUIRE(heard.has("on a thread that is not the loop's"));
    CHECK(heard.reasons[0] == errc::wrong_thread);
}

TEST("a host that never takes a turn, or calls it within post(), is told at the loop's end") {
    world w;
    for (bool const calls_at_once : {false, true}) {
        std::atomic<int> posts{0};
        std::optional<hears> heard;
        {
            loop l(w.options());
            heard.emplace(l);
            l.call_soon([] {});
            REQUIRE(l.interleave([&](host_turn turn) {
                         if (calls_at_once) turn();
                         posts.fetch_add(1);
                         posts.notify_one();
                         return calls_at_once;
                     }).ok());
            for (int seen = 0; seen < 2; seen = posts.load()) posts.wait(seen);   // with the second the first has failed
        }
        REQUIRE(heard->reasons.size() == 1);
        CHECK(heard->reasons[0] == (calls_at_once ? errc::wrong_thread : errc::full));
        CHECK(heard->has(calls_at_once ? "on a thread that is not the loop's" : "did not take a turn"));
    }
}

TEST("a turn that is called inside a task is put off") {
    world w;
    queue_host host;
    loop l(w.options());
    hears heard(l);
    bool ran = false;
    auto t = spawn([&] {
        CHECK(host.step());   // run_now() in plain code: the host's call comes inside the task
        CHECK(!ran);
    });
    l.call_soon([&] { ran = true; });
    REQUIRE(l.interleave(host.post()).ok());
    host.wait_for_posts(1);
    CHECK(run_now(t).ok());
    CHECK(t.done());
    CHECK(host.run([&] { return ran; }));
    CHECK(heard.has("inside a task"));
}

TEST("turns come and go while the host's thread and others call, stop and begin again") {
    world w;
    int const rounds = harness::nightly() ? 20'000 : 300;
    queue_host host;
    loop l(w.options());
    std::atomic<bool> over{false};
    std::atomic<long> sent{0};
    long ran = 0;
    std::thread other([&, ref = l.remote()] {
        while (!over) {
            if (ref.call([&] { ++ran; }).ok()) ++sent;
            std::this_thread::yield();
        }
    });
    harness::random random(harness::seed());
    int const before = threads();
    for (int i = 0; i != rounds; ++i) {
        REQUIRE(l.interleave(host.post()).ok());
        for (std::uint64_t n = random.below(5); n != 0; --n) {
            if (random.chance(50)) l.call_soon([] {});
            if (random.chance(30)) l.call_later(duration(random.below(50'000)), [] {});
            if (random.chance(50)) host.step(1ms);
        }
        if (random.chance(10)) host.forget();
        CHECK(random.chance(50) ? l.stop().ok() : l.remote().stop().ok());
        CHECK(host.run(is_over(l)));
        CHECK(threads_become(before));
    }
    over = true;
    other.join();
    REQUIRE(l.interleave(host.post()).ok());
    CHECK(host.run([&] { return ran == sent; }));
    CHECK(l.stop().ok());
    CHECK(host.run(is_over(l)));
    CHECK_EQ(host.most(), 1U);
}
