#include <thread>

#include "../harness/axes.hpp"

using namespace spruce;

TEST("each thread has its own current loop, and only the main thread gets one unasked") {
    std::thread([] {
        CHECK(loop::current() == errc::no_loop);
        CHECK(spawn([] {}).join() == errc::no_loop);
        loop mine;
        CHECK(&*loop::current() == &mine);
    }).join();
    auto made = loop::current();
    REQUIRE(made.ok());
    bool ran = false;
    made->call_soon([&] { ran = true; });
    CHECK(made->run().ok());
    CHECK(ran);
    CHECK(&*loop::current() == &*made);
    std::thread([&] { CHECK(made->destroy() == errc::wrong_thread); }).join();
    CHECK(made->destroy().ok());
    CHECK(made->run() == errc::closed);
    loop another;
    CHECK(another.status().ok());
}
