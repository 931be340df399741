// flags: pkg-config --cflags --libs libuv
// --host libuv: the suite's runs are interleaved in a uv_loop_t each.
#include <utility>

#include "../../harness/guest_runs.hpp"
#include "../uv_host.hpp"

namespace {
using foreign::uv_calls;
uv_calls& self(void* host) { return *static_cast<uv_calls*>(host); }

harness::host_kind libuv{"libuv", [] { return static_cast<void*>(new uv_calls); },
                         [](void* host, spruce::host_turn turn) { self(host).post(std::move(turn)); },
                         [](void* host) {
                             self(host).once();
                             return true;
                         },
                         [](void* host) { delete &self(host); }};
// The first loop leaves what libuv keeps for the process.
bool const offered = (uv_calls(), harness::offer_host(libuv), true);
}  // namespace
