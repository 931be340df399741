// flags: echo '#include <asio.hpp>' | ${CXX:-g++} -std=c++20 -x c++ -fsyntax-only - && echo -DASIO_NO_DEPRECATED
#include "asio_guest.hpp"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "../both_ways.hpp"

namespace {
struct asio_host {
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};

    void post(spruce::host_turn turn) {
        asio::post(context, [t = std::move(turn)] { t(); });
    }
    void after(int ms, std::function<void()> f) {
        auto timer = std::make_shared<asio::steady_timer>(context, std::chrono::milliseconds(ms));
        timer->async_wait([timer, f = std::move(f)](asio::error_code failed) {
            if (!failed) f();
        });
    }
    std::size_t called = 0;

    void quit() { context.stop(); }
    void run() {
        context.restart();
        called += context.run();
    }
    void once() {
        context.restart();
        called += context.run_one();
    }
    long wakes() const { return static_cast<long>(called); }
};
}  // namespace

int main() {
    foreign::checks all("Asio");
    asio_host host;
    {
        spruce::loop loop;
        std::optional<asio_guest> guest(std::in_place, loop, host.context);
        foreign::scenes(all, host, loop, "by fd");
        // A timer falls due while a call of the loop's lets the context run: the guest waits, and goes on afterwards.
        bool ran = false;
        loop.call_later(std::chrono::milliseconds(5), [&] {
            ran = true;
            host.quit();
        });
        host.context.restart();
        host.context.poll();   // the guest has told when it is due
        std::thread([&, door = loop.remote()] {
            auto const sent = door.call([&] { host.context.run_for(std::chrono::milliseconds(20)); });
            all.expect(sent.ok(), "by fd: a call from another thread");
        }).join();
        asio::steady_timer limit(host.context, std::chrono::seconds(5));
        limit.async_wait([&](asio::error_code failed) {
            if (!failed) host.quit();
        });
        host.run();
        limit.cancel();
        all.expect(ran, "by fd: the guest goes on after a run of the context inside its turn");
        guest.reset();
        host.context.restart();
        host.context.poll();   // the handlers that were canceled
        all.expect(loop.destroy(spruce::in(std::chrono::seconds(1))).ok(), "the loop ends");
    }
    foreign::scenes_interleaved(all, host);
    {
        // Where a pool of threads runs a context, the loop has one of its own, and the pool calls it by its remote().
        asio::io_context pool, own;
        spruce::loop loop;
        asio_guest guest(loop, own);
        auto const here = std::this_thread::get_id();
        int called = 0, elsewhere = 0;
        for (int i = 0; i != 100; ++i)
            asio::post(pool, [&, door = loop.remote()] {
                static_cast<void>(door.call([&] {
                    elsewhere += std::this_thread::get_id() != here;
                    if (++called == 100) own.stop();
                }));
            });
        std::vector<std::thread> threads;
        for (int i = 0; i != 4; ++i) threads.emplace_back([&] { pool.run(); });
        own.run_for(std::chrono::seconds(10));
        for (auto& one : threads) one.join();
        all.expect(called == 100 && elsewhere == 0, "by fd: a pool's threads call the loop, which runs in its own context");
    }
    return all.code();
}
