// Tasks take turns where they say so: yield() goes to the end of the queue, and nobody is passed over.
// expect: red 1, green 1, blue 1, red 2, green 2, blue 2, red 3, green 3, blue 3, all home
#include <cstdio>
#include <spruce/spruce.hpp>

static spruce::result<void> walk(char const* who) {
    for (int lap = 1; lap <= 3; ++lap) {
        std::printf("%s %d, ", who, lap);
        SPRUCE_CHECK(spruce::yield());
    }
    return {};
}

int main() {
    auto ran = spruce::run([] {
        spruce::task_group runners;
        for (char const* who : {"red", "green", "blue"}) runners.spawn(walk, who);
        return runners.join();
    });
    std::puts("all home");
    return ran ? 0 : 1;
}
