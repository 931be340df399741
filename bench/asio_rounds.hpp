// Asio's coroutines over its channels, which are experimental there: values from one to the other, and a wait for a value or
// a deadline. One thread, so without locks. The quickest that it has for this kind of work.
#pragma once
#include <memory>

#include "measure.hpp"

#if __has_include(<asio/experimental/awaitable_operators.hpp>) && defined(__cpp_exceptions)
#define ASIO_NO_DEPRECATED
#include <asio.hpp>
#endif
#ifdef ASIO_HAS_CO_AWAIT
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/channel.hpp>
#define HAVE_ASIO_CHANNEL 1

namespace asio_rounds {
using channel = asio::experimental::channel<void(asio::error_code, long)>;

inline asio::awaitable<void> send_all(channel& c, long values) {
    for (long i = 0; i < values; ++i) co_await c.async_send(asio::error_code{}, i, asio::use_awaitable);
}
inline asio::awaitable<void> receive_all(channel& c, long values, long& sum) {
    for (long i = 0; i < values; ++i) sum += co_await c.async_receive(asio::use_awaitable);
}
inline asio::awaitable<void> receive_or_time_out(channel& c, asio::steady_timer& timer, long values, long& sum) {
    using namespace asio::experimental::awaitable_operators;
    for (long i = 0; i < values; ++i) {
        timer.expires_after(std::chrono::seconds(1));
        auto const won = co_await (c.async_receive(asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
        if (won.index() == 0) sum += std::get<0>(won);
    }
}

// Nanoseconds a value; `sum` gets the values, so that who calls can see that none was lost.
template <class Receive> double values_through(std::size_t places, long values, Receive&& receive) {
    asio::io_context io(1);
    channel c(io, places);
    asio::co_spawn(io, receive(io, c), asio::detached);
    asio::co_spawn(io, send_all(c, values), asio::detached);
    std::int64_t const begin = measure::cpu_ns();
    io.run();
    return static_cast<double>(measure::cpu_ns() - begin) / static_cast<double>(values);
}
inline double values_round(std::size_t places, long values, long& sum) {
    return values_through(places, values, [&](asio::io_context&, channel& c) { return receive_all(c, values, sum); });
}
inline double wait_any_round(long values, long& sum) {
    std::unique_ptr<asio::steady_timer> timer;
    return values_through(0, values, [&](asio::io_context& io, channel& c) {
        timer = std::make_unique<asio::steady_timer>(io);
        return receive_or_time_out(c, *timer, values, sum);
    });
}
}  // namespace asio_rounds
#endif
