// A loop within somebody else's: it says how long the host may sleep, and its fd wakes the host.
#include <thread>
#include <tuple>

#include "../harness/guest_scenes.hpp"

using namespace spruce;
using namespace std::chrono_literals;
using harness::can_read;
using harness::world;

TEST("a guest says until when its host may sleep: no time if something is ready, a timer's, or for ever") {
    testing::simulation sim(harness::as_asked());
    loop l(loop_options{.on = sim.on()});
    CHECK(*l.prepare() == never());
    l.call_later(1s, [] {});
    auto until = l.prepare();
    REQUIRE(until.ok());
    CHECK(until->remaining() >= 1s && until->remaining() <= 1s + 65'536ns);
    int ran = 0;
    for (int i = 0; i != 3; ++i) l.call_soon([&] { ++ran; });
    CHECK(l.prepare()->passed());
    CHECK_EQ(l.dispatch(2).value_or(0), 2U);
    CHECK_EQ(ran, 2);
    CHECK_EQ(l.dispatch().value_or(0), 1U);
    CHECK_EQ(l.dispatch().value_or(9), 0U);
    CHECK(!l.running());
}

TEST("a guest's fd wakes its host for events and for calls from other threads, and rests in between") {
    if (harness::simulated() || harness::option("poller") == "poll") harness::skip("a poller that has an fd");
    world w;
    int out, into;
    std::tie(out, into) = w.pipe();
    {
        loop l(w.options());
        int const fd = l.backend_fd();
        if (fd < 0 && harness::spoilt_kernel()) harness::skip("a poller that has an fd");
        REQUIRE(fd >= 0);
        int read = 0, called = 0;
        auto h = l.add_reader(out, [&, from = out](handler self) {
            ++read;
            char c;
            w.read(from, &c, 1);
            self.cancel();
        });
        REQUIRE(h.ok());
        CHECK(*l.prepare() == never());
        CHECK(!can_read(fd));
        w.write(into, "x");
        CHECK(can_read(fd, 5'000));
        CHECK(l.dispatch().ok());
        CHECK_EQ(read, 1);
        CHECK(*l.prepare() == never());
        CHECK(!can_read(fd));
        std::thread other([&, door = l.remote()] { CHECK(door.call([&] { ++called; }).ok()); });
        CHECK(can_read(fd, 5'000));
        other.join();
        CHECK(l.dispatch().ok());
        CHECK_EQ(called, 1);
        CHECK_EQ(l.backend_fd(), fd);
    }
    w.close(out);
    w.close(into);
}
