// flags: pkg-config --cflags --libs libuv
// --host libuv: the suite's runs are interleaved in a uv_loop_t each.
#include <mutex>
#include <utility>
#include <uv.h>
#include <vector>

#include "../../harness/guest_runs.hpp"

namespace {
struct uv_host {
    uv_loop_t loop;
    uv_async_t bell;
    std::mutex lock;
    std::vector<spruce::host_turn> calls;

    uv_host() {
        uv_loop_init(&loop);
        uv_async_init(&loop, &bell, [](uv_async_t* h) { static_cast<uv_host*>(h->data)->make_calls(); });
        bell.data = this;
    }
    ~uv_host() {
        uv_close(reinterpret_cast<uv_handle_t*>(&bell), nullptr);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
    }
    void make_calls() {
        std::vector<spruce::host_turn> now;
        {
            std::lock_guard const held(lock);
            now.swap(calls);
        }
        for (auto const& turn : now) turn();
    }
};
uv_host& self(void* host) { return *static_cast<uv_host*>(host); }

harness::host_kind libuv{"libuv", [] { return static_cast<void*>(new uv_host); },
                         [](void* host, spruce::host_turn turn) {
                             std::lock_guard const held(self(host).lock);
                             self(host).calls.push_back(std::move(turn));
                             uv_async_send(&self(host).bell);
                         },
                         [](void* host) {
                             uv_run(&self(host).loop, UV_RUN_ONCE);
                             return true;
                         },
                         [](void* host) { delete &self(host); }};
// The first loop leaves what libuv keeps for the process.
bool const offered = (uv_host(), harness::offer_host(libuv), true);
}  // namespace
