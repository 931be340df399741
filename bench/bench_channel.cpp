// Channels: values of one word from one task to another, per value; without a buffer, and with one of 128. Ours beside
// its floor, boost.fiber (its unbuffered_channel, and its buffered_channel, of which one place stays empty) and asio's
// coroutines with its experimental channel.
// links: -lboost_fiber -lboost_context
#include <spruce/spruce.hpp>

#include "asio_rounds.hpp"
#include "floors/channel_floor.hpp"
#include "measure.hpp"

#if __has_include(<boost/fiber/all.hpp>) && defined(__cpp_exceptions)
#include <boost/fiber/all.hpp>
#define HAVE_BOOST_FIBER 1
#endif

namespace {
long sum;   // of what was received: it is looked at after each round

double per_value(std::int64_t begin, long values) {
    double const each = measure::per(begin, values);
    if (sum != values * (values - 1) / 2) std::abort();   // a value was lost, or came twice
    sum = 0;
    return each;
}

double spruce_round(spruce::loop& hub, std::size_t places, long values) {
    spruce::channel<long> c(places);
    spruce::spawn([&] {
        for (long i = 0; i < values; ++i) static_cast<void>(c.send(i));
        c.close();
    });
    spruce::spawn([&] {
        while (auto const got = c.receive()) sum += *got;
    });
    std::int64_t const begin = measure::cpu_ns();
    static_cast<void>(hub.run());
    return per_value(begin, values);
}

#ifdef HAVE_BARE_SWITCH
template <class Channel> struct bare_work {
    Channel c;
    long values;
    floors::bare_waiter main{};
};
template <class Channel> [[gnu::noinline]] void bare_sender(void* work) {
    auto& w = *static_cast<bare_work<Channel>*>(work);
    for (long i = 0, n = w.values; i < n; ++i) w.c.send(i);
    w.c.send(-1);
}
template <class Channel> [[gnu::noinline]] void bare_receiver(void* work) {
    auto& w = *static_cast<bare_work<Channel>*>(work);
    for (long value; (value = w.c.receive()) >= 0;) sum += value;
    floors::bare_scheduler::here->wake(w.main);
}
template <class Channel> double bare_round(long values) {
    static floors::bare_scheduler s;
    floors::bare_scheduler::here = &s;
    static bare_work<Channel> w;
    w.values = values;
    s.spawn(bare_sender<Channel>, &w);
    s.spawn(bare_receiver<Channel>, &w);
    std::int64_t const begin = measure::cpu_ns();
    s.park(w.main);
    while (s.live != 0) s.yield();
    return per_value(begin, values);
}
#endif

#ifdef HAVE_BOOST_FIBER
template <class Channel> double boost_round(Channel& c, long values) {
    std::int64_t const begin = measure::cpu_ns();
    boost::fibers::fiber sender([&] {
        for (long i = 0; i < values; ++i) c.push(i);
        c.close();
    });
    boost::fibers::fiber receiver([&] {
        for (long value; c.pop(value) == boost::fibers::channel_op_status::success;) sum += value;
    });
    sender.join();
    receiver.join();
    return per_value(begin, values);
}
#endif
}  // namespace

int main(int count, char** arguments) {
    measure::pin();
    measure::effort const e(count, arguments);
    spruce::loop hub;
    long const values = e.of(2'000'000);
    measure::contest unbuffered("channel_unbuffered");
    unbuffered.enter("spruce", [&] { return spruce_round(hub, 0, values); });
    measure::contest buffered("channel_128");
    buffered.enter("spruce", [&] { return spruce_round(hub, 128, values); });
#ifdef HAVE_BARE_SWITCH
    unbuffered.enter("floor", [&] { return bare_round<floors::bare_rendezvous>(values); });
    buffered.enter("floor", [&] { return bare_round<floors::bare_buffer>(values); });
#endif
#ifdef HAVE_BOOST_FIBER
    unbuffered.enter("boost.fiber", [&] {
        boost::fibers::unbuffered_channel<long> c;
        return boost_round(c, values / 8 + 1);
    });
    buffered.enter("boost.fiber", [&] {
        boost::fibers::buffered_channel<long> c(128);
        return boost_round(c, values / 4 + 1);
    });
#endif
#ifdef HAVE_ASIO_CHANNEL
    auto const asio_values = [values](std::size_t places) {
        long const fewer = values / 16 + 1;
        double const each = asio_rounds::values_round(places, fewer, sum);
        per_value(0, fewer);
        return each;
    };
    unbuffered.enter("asio", [&] { return asio_values(0); });
    buffered.enter("asio", [&] { return asio_values(128); });
#endif
    unbuffered.run(e);
    buffered.run(e);
}
