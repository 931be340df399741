// flags: echo '#include <asio.hpp>' | ${CXX:-g++} -std=c++20 -x c++ -fsyntax-only - && echo -DASIO_NO_DEPRECATED
#include "asio_guest.hpp"

#include <optional>
#include <utility>

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
    void quit() { context.stop(); }
    void run() {
        context.restart();
        context.run();
    }
    void once() {
        context.restart();
        context.run_one();
    }
};
}  // namespace

int main() {
    foreign::checks all("Asio");
    asio_host host;
    {
        spruce::loop loop;
        std::optional<asio_guest> guest(std::in_place, loop, host.context);
        foreign::scenes(all, host, loop, "by fd");
        guest.reset();
        host.context.restart();
        host.context.poll();   // the handlers that were cancelled
        all.expect(loop.destroy(spruce::in(std::chrono::seconds(1))).ok(), "the loop ends");
    }
    foreign::scenes_interleaved(all, host);
    return all.code();
}
