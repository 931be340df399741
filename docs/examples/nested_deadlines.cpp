// Deadlines inside deadlines: whoever ran out of time is told so, whoever was stopped for another's sake learns that,
// and is_from() tells them apart.
// expect: the short one inside: timed_out
// expect: the long one around it goes on: 1
// expect: the long one inside: canceled, because of the short one around it: 1
// expect: the short one around it: timed_out
// expect: one call: timed_out
// expect: in time: 3
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

int main() {
    auto ran = run([]() -> result<void> {
        auto around = with_deadline(in(1h), []() -> result<void> {
            auto inside = with_deadline(in(2ms), [] { return sleep_for(24h); });
            std::printf("the short one inside: %s\n", inside.error().name());
            return sleep_for(1ms);
        });
        std::printf("the long one around it goes on: %d\n", around.ok());

        around = with_deadline(in(2ms), [](task_id short_one) {
            auto inside = with_deadline(in(1h), [] { return sleep_for(24h); });
            std::printf("the long one inside: %s, because of the short one around it: %d\n", inside.error().name(),
                        inside.error().is_from(short_one));
            return inside;
        });
        std::printf("the short one around it: %s\n", around.error().name());

        event nobody_sets;
        std::printf("one call: %s\n", nobody_sets.wait(in(2ms)).error().name());
        auto three = with_deadline(in(1h), [] { return 3; });
        std::printf("in time: %d\n", three.value_or(0));
        return {};
    });
    return ran ? 0 : 1;
}
