// The sizes of the public types, in bytes; and those of peers' types for the same purpose. What is behind a pointer is not
// counted, neither ours nor theirs. tools/compare-sizes compares ours with what is recorded.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include "measure.hpp"

#if __has_include(<uv.h>)
#include <uv.h>
#define HAVE_UV 1
#endif
#if __has_include(<ev.h>)
#include <ev.h>
#define HAVE_EV 1
#endif
#if __has_include(<asio.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#define HAVE_ASIO 1
#endif
#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace {
void tell(char const* type, char const* whose, std::size_t bytes) {
    std::printf("sizeof_%s_%s_min %zu bytes\n", type, whose, bytes);
}
template <class T> void ours(char const* type) { tell(type, "spruce", sizeof(T)); }
}  // namespace

int main() {
    namespace s = spruce;
    ours<s::loop>("loop");
    ours<s::loop_options>("loop_options");
    ours<s::loop_ref>("loop_ref");
    ours<s::handler>("handler");
    ours<s::scoped_handler>("scoped_handler");
    ours<s::error>("error");
    ours<s::result<void>>("result_void");
    ours<s::result<long>>("result_long");
    ours<s::deadline>("deadline");
    ours<s::task<void>>("task");
    ours<s::task_options>("task_options");
    ours<s::task_group>("task_group");
    ours<s::cancel_shield>("cancel_shield");
    ours<s::event>("event");
    ours<s::mutex>("mutex");
    ours<s::recursive_mutex>("recursive_mutex");
    ours<s::condition_variable>("condition_variable");
    ours<s::semaphore>("semaphore");
    ours<s::wait_group>("wait_group");
    ours<s::barrier>("barrier");
    ours<s::channel<long>>("channel");
    ours<s::queue<long>>("queue");
    ours<s::mailbox<long>>("mailbox");
    ours<s::future<long>>("future");
    ours<s::promise<long>>("promise");
    ours<s::task_local<long>>("task_local");
    ours<s::emitter<long>>("emitter");
    ours<s::connection>("connection");
    ours<s::event_bus<long>>("event_bus");
    ours<s::timer>("timer");
    ours<s::shared_event>("shared_event");
    ours<s::shared_channel<long>>("shared_channel");
    ours<s::stream>("stream");
    ours<s::tcp_stream>("tcp_stream");
    ours<s::tcp_listener>("tcp_listener");
    ours<s::reader>("reader");
    ours<s::task_pool>("task_pool");
#ifdef HAVE_UV
    tell("loop", "libuv", sizeof(uv_loop_t));
    tell("timer", "libuv", sizeof(uv_timer_t));
    tell("tcp_stream", "libuv", sizeof(uv_tcp_t));
    tell("handler", "libuv", sizeof(uv_async_t));
#endif
#ifdef HAVE_EV
    tell("timer", "libev", sizeof(ev_timer));
    tell("handler", "libev", sizeof(ev_prepare));
#endif
#ifdef HAVE_ASIO
    tell("loop", "asio", sizeof(asio::io_context));
    tell("timer", "asio", sizeof(asio::steady_timer));
    tell("tcp_stream", "asio", sizeof(asio::ip::tcp::socket));
    tell("tcp_listener", "asio", sizeof(asio::ip::tcp::acceptor));
#endif
#ifdef HAVE_BOOST_FIBER
    namespace f = boost::fibers;
    tell("task", "boost.fiber", sizeof(f::fiber));
    tell("mutex", "boost.fiber", sizeof(f::mutex));
    tell("recursive_mutex", "boost.fiber", sizeof(f::recursive_mutex));
    tell("condition_variable", "boost.fiber", sizeof(f::condition_variable));
    tell("barrier", "boost.fiber", sizeof(f::barrier));
    tell("channel", "boost.fiber", sizeof(f::buffered_channel<long>));
    tell("future", "boost.fiber", sizeof(f::future<long>));
    tell("promise", "boost.fiber", sizeof(f::promise<long>));
    tell("task_local", "boost.fiber", sizeof(f::fiber_specific_ptr<long>));
#endif
}
