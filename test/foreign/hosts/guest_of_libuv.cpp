// flags: pkg-config --cflags --libs libuv
#include <utility>

#include "../both_ways.hpp"
#include "../uv_host.hpp"
#include "libuv.hpp"

namespace {
struct uv_host : foreign::uv_calls {
    uv_check_t after_wait;
    long waits = 0;
    bool over = false;

    uv_host() {
        uv_check_init(&loop, &after_wait);
        after_wait.data = this;
        uv_check_start(&after_wait, [](uv_check_t* h) { ++static_cast<uv_host*>(h->data)->waits; });
    }
    ~uv_host() {
        uv_close(reinterpret_cast<uv_handle_t*>(&after_wait), nullptr);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    void after(std::uint64_t ms, std::function<void()> f) {
        struct timer {
            uv_timer_t handle;
            std::function<void()> f;
        };
        auto* const t = new timer{{}, std::move(f)};
        uv_timer_init(&loop, &t->handle);
        t->handle.data = t;
        uv_update_time(&loop);
        uv_timer_start(&t->handle, [](uv_timer_t* h) {
            auto* const of = static_cast<timer*>(h->data);
            of->f();
            uv_close(reinterpret_cast<uv_handle_t*>(h), [](uv_handle_t* gone) { delete static_cast<timer*>(gone->data); });
        }, ms, 0);
    }
    void quit() {
        over = true;
        uv_stop(&loop);
    }
    void run() {
        for (over = false; !over;) uv_run(&loop, UV_RUN_DEFAULT);
    }
    long wakes() const { return waits; }
};
}  // namespace

int main() {
    foreign::checks all("libuv");
    uv_host host;
    {
        spruce::loop loop;
        libuv_guest guest(loop, &host.loop);
        all.expect(guest.ok(), "the loop's fd is watched");
        foreign::without_fd<libuv_guest>(all, &host.loop);
        foreign::scenes(all, host, loop, "by fd");
        guest.close();
        guest.close();   // twice is harmless
        uv_run(&host.loop, UV_RUN_NOWAIT);
        all.expect(loop.destroy(spruce::in(std::chrono::seconds(1))).ok(), "the loop ends");
    }
    foreign::scenes_interleaved(all, host);
    return all.code();
}
