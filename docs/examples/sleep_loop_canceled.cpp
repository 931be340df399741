// A task that would go on for ever is canceled: the wait it is in ends with an error, its destructors run, and
// whoever joins it learns that it was canceled.
// expect: tick
// expect: tick
// expect: cancel
// expect: the sleep ended with canceled
// expect: the lamp is off
// expect: join says task_canceled
#include <cstdio>
#include <functional>
#include <spruce/spruce.hpp>
using namespace std::chrono_literals;

struct lamp {
    ~lamp() { std::puts("the lamp is off"); }
};

static spruce::result<void> blink(spruce::event& twice) {
    lamp on;
    for (int ticks = 0;;) {
        if (auto slept = spruce::sleep_for(2ms); !slept) {
            std::printf("the sleep ended with %s\n", slept.error().name());
            return slept;
        }
        std::puts("tick");
        if (++ticks == 2) twice.set();
    }
}

int main() {
    auto ran = spruce::run([]() -> spruce::result<void> {
        spruce::event twice;
        auto blinker = spruce::spawn(blink, std::ref(twice));
        SPRUCE_CHECK(twice.wait());
        std::puts("cancel");
        blinker.cancel();
        std::printf("join says %s\n", blinker.get().error().name());
        return {};
    });
    return ran ? 0 : 1;
}
