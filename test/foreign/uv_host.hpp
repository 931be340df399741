// A uv_loop_t, and calls that other threads queue there.
#pragma once
#include <mutex>
#include <utility>
#include <uv.h>
#include <vector>

#include <spruce/spruce.hpp>

namespace foreign {

struct uv_calls {
    uv_loop_t loop;
    uv_async_t bell;
    std::mutex lock;
    std::vector<spruce::host_turn> calls;

    uv_calls() {
        uv_loop_init(&loop);
        uv_async_init(&loop, &bell, [](uv_async_t* h) { static_cast<uv_calls*>(h->data)->make_calls(); });
        bell.data = this;   // and keeps the host's run going
    }
    ~uv_calls() {
        uv_close(reinterpret_cast<uv_handle_t*>(&bell), nullptr);
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_loop_close(&loop);
    }
    uv_calls(uv_calls const&) = delete;
    uv_calls& operator=(uv_calls const&) = delete;
    void make_calls() {
        std::vector<spruce::host_turn> now;
        {
            std::lock_guard const held(lock);
            now.swap(calls);
        }
        for (auto const& turn : now) turn();
    }
    void post(spruce::host_turn turn) {
        std::lock_guard const held(lock);
        calls.push_back(std::move(turn));
        uv_async_send(&bell);
    }
    void once() { uv_run(&loop, UV_RUN_ONCE); }
};

}  // namespace foreign
