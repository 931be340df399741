// Corners of futures, pools and what stands beside them: details, progress after the end, refused memory.
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "../sync/virtual_tasks.hpp"

using namespace spruce;
using namespace std::chrono_literals;

namespace {
// A hook that refuses when it is told to, and wants back what it gave as it gave it.
struct exact_heap {
    struct block {
        std::size_t bytes, alignment;
    };
    std::map<void*, block> out;
    long wrong = 0, wide = 0;
    long left = -1;   // how many it still gives; negative: all
    memory_hook hook() { return {take, give, this}; }
    static void* take(void* self, std::size_t bytes, std::size_t alignment) noexcept {
        auto& h = *static_cast<exact_heap*>(self);
        if (h.left == 0) return nullptr;
        if (h.left > 0) --h.left;
        void* at = nullptr;
        if (::posix_memalign(&at, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) return nullptr;
        h.out[at] = {bytes, alignment};
        h.wide += alignment >= 128 ? 1 : 0;
        return at;
    }
    static void give(void* self, void* at, std::size_t bytes, std::size_t alignment) noexcept {
        auto& h = *static_cast<exact_heap*>(self);
        auto const found = h.out.find(at);
        bool const right = found != h.out.end() && found->second.bytes == bytes && found->second.alignment == alignment;
        h.wrong += right ? 0 : 1;
        if (!right) return;
        h.out.erase(found);
        std::free(at);
    }
};
struct alignas(128) wide {
    int n = 0;
    bool aligned() const noexcept { return reinterpret_cast<std::uintptr_t>(this) % 128 == 0; }
};
}  // namespace

TEST("who waits for several things gets a future's failure with its detail, whoever gave it") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        event never_set;
        auto fails = spawn([&] { CHECK(p.fail(detail::with_detail(errc::invalid_argument, "the ninth of eight")).ok()); });
        auto won = wait_any(never_set, f);
        REQUIRE(won.ok() && won->index() == 1);
        auto const got = won->get<1>();
        CHECK(got == errc::invalid_argument);
        CHECK_EQ(got.error().detail(), "the ninth of eight");
        CHECK(fails.join().ok());
        promise<int> q;
        auto g = q.get_future();
        auto later = spawn([&] {
            static_cast<void>(yield());
            CHECK(q.fail(detail::with_detail(errc::too_long, "the tenth")).ok());
        });
        auto all = wait_all(g);
        REQUIRE(all.ok());
        CHECK_EQ(std::get<0>(*all).error().detail(), "the tenth");
        return {};
    });
    CHECK(r.ok());
}

TEST("what listens to a future's progress is destroyed once there is an outcome, whether it was to run or not") {
    auto r = run_virtually([]() -> result<void> {
        for (int reports = 0; reports != 3; ++reports) {
            auto const token = std::make_shared<int>(0);
            promise<int> p;
            auto f = p.get_future();
            int heard = 0;
            auto h = f.on_progress([token, &heard](progress const&) { ++heard; });
            CHECK(h.active());
            CHECK_EQ(token.use_count(), 2L);
            if (reports != 0) CHECK(p.report(1, 2).ok());
            settle();
            if (reports == 2) CHECK(p.report(2, 2).ok());   // not heard when the outcome comes
            CHECK(p.set(1).ok());
            settle();
            CHECK_EQ(token.use_count(), 1L);
            CHECK(!h.active());
            CHECK_EQ(heard, reports);
        }
        return {};
    });
    CHECK(r.ok());
}

TEST("what is left to do is unknown where nobody knows the whole, also at once, and where nothing is done yet") {
    auto r = run_virtually([]() -> result<void> {
        promise<int> p;
        auto f = p.get_future();
        progress now;
        f.on_progress([&](progress const& heard) { now = heard; });
        CHECK(p.report(3, 0).ok());   // no time has passed
        settle();
        CHECK_EQ(now.position, 3U);
        CHECK(now.remaining == duration::max());
        CHECK(p.report(0, 10).ok());
        settle();
        CHECK(now.remaining == duration::max());
        SPRUCE_CHECK(sleep_for(1s));
        CHECK(p.report(5, 0).ok());
        settle();
        CHECK(now.remaining == duration::max());
        CHECK(p.report(5, 10).ok());
        settle();
        CHECK(now.remaining >= 900ms && now.remaining <= 1100ms);
        return {};
    });
    CHECK(r.ok());
}

TEST("a job that finds no memory gives its place back, wherever the memory ends") {
    exact_heap heap;
    auto r = run_virtually([&]() -> result<void> {
        task_pool pool(1, {.bound = 0});
        CHECK(pool.submit([] {}).ok());   // what is made once is made
        CHECK(pool.join().ok());
        long refused = 0;
        for (long allowed = 0;; ++allowed) {
            heap.left = allowed;
            auto made = pool.try_submit([] { return 1; });
            heap.left = -1;
            if (made.ok()) break;
            CHECK(made == errc::no_memory);
            ++refused;
            CHECK_EQ(pool.size(), 0U);
            auto next = pool.try_submit([] { return 2; });   // the only place there is
            REQUIRE(next.ok());
            CHECK(pool.try_submit([] {}) == errc::full);
            CHECK_EQ(next->get().value_or(0), 2);
            CHECK(pool.join().ok());
        }
        CHECK(refused >= 2);
        return pool.join();
    }, {.memory = heap.hook()});
    CHECK(r.ok());
    CHECK_EQ(heap.wrong, 0L);
}

TEST("what values need of alignment is asked of the memory hook, and said again when the memory is given back") {
    exact_heap process, own;
    REQUIRE(set_process_memory(process.hook()).ok());
    auto r = run_virtually([&]() -> result<void> {
        wide const w;
        promise<wide> p;
        auto f = p.get_future();
        CHECK(p.set(w).ok());
        CHECK(f.get().ok());
        async_function call([w](wide given) { return w.aligned() && given.aligned() ? given : wide{1}; });
        CHECK_EQ(call(w).get()->n, 0);
        {
            task_pool pool(1);
            std::array<wide, 3> const inputs{};
            for (auto& each : pool.map(inputs, [w](wide const& given) { return w.aligned() ? given : wide{1}; })) CHECK(each.ok() && each->n == 0);
            CHECK(pool.submit([w] { CHECK(w.aligned()); }).ok());
            CHECK(pool.submit([w] { CHECK(w.aligned()); }).ok());
        }
        channel<wide> c(2);
        CHECK(c.send(w).ok());
        shared_channel<wide> s(2);
        CHECK(s.send(w).ok());
        queue<wide> q(2);
        CHECK(q.push(w).ok());
        mailbox<wide> box;
        CHECK(box.send({"n", w}).ok());
        emitter<wide> out;
        auto const connected = out.connect([w](wide const& given) { CHECK(w.aligned() && given.aligned()); });
        out.emit(w);
        event_bus<wide> bus(4);
        auto const subscribed = bus.subscribe({}, [w](std::string_view, wide const&) { CHECK(w.aligned()); });
        CHECK(bus.post("n", w).ok());
        generator<wide> g([w](yielder<wide>& give) { static_cast<void>(give(w)); });
        CHECK(g.next().ok());
        auto both = when_all(f, call(w));
        CHECK(both.get().ok());
        one_shot_timer timer([w] { CHECK(w.aligned()); });
        CHECK(timer.start(1ms).ok());
        f.on_done([w](result<wide> const&) { CHECK(w.aligned()); });
        CHECK((*loop::current()).call_from_thread([w] { CHECK(w.aligned()); }).ok());
        CHECK(spawn([w] { return w.aligned(); }).get().value_or(false));
        SPRUCE_CHECK(sleep_for(5ms));
        return {};
    }, {.memory = own.hook()});
    CHECK(r.ok());
    CHECK_EQ(own.wrong, 0L);
    CHECK_EQ(process.wrong, 0L);
    CHECK(own.wide + process.wide >= 8);
    CHECK_EQ(own.out.size(), 0U);
    CHECK_EQ(process.out.size(), 0U);
}
