// Several want the same price: one call serves them all. Who gives up takes the call along only when nobody else wants
// it, and a price that a callback brings is awaited like any other.
// expect: asked the exchange
// expect: 42 and 42
// expect: the exchange is told to stop
// expect: nobody wants it: task_canceled
// expect: by telegram: 7
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto ran = run([]() -> result<void> {
        async_function price([](duration takes) -> result<int> {
            std::puts("asked the exchange");
            SPRUCE_CHECK(sleep_for(takes));
            return 42;
        }, {.policy = call_policy::singleton, .name = "price"});
        auto ask = [&] { return price(2ms).get(); };
        auto one = spawn(ask), other = spawn(ask), impatient = spawn(ask);
        SPRUCE_CHECK(yield());
        impatient.cancel();   // the others still want it
        SPRUCE_TRY(int const a, one.get());
        SPRUCE_TRY(int const b, other.get());
        std::printf("%d and %d\n", a, b);

        promise<int> exchange;
        exchange.on_cancel([] { std::puts("the exchange is told to stop"); });
        auto quote = exchange.get_future();
        auto alone = spawn([quote]() mutable { return quote.get(); });
        SPRUCE_CHECK(yield());
        alone.cancel();
        SPRUCE_CHECK(yield());
        std::printf("nobody wants it: %s\n", quote.get().error().name());

        promise<int> telegram;
        auto told = telegram.get_future();
        SPRUCE_TRY(loop& hub, loop::current());
        hub.call_later(1ms, [&] { static_cast<void>(telegram.set(7)); });
        SPRUCE_TRY(int const c, told.get(in(1s)));
        std::printf("by telegram: %d\n", c);
        return {};
    });
    return ran ? 0 : 1;
}
