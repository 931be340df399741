// Tasks as a memory checker finds hardest: stacks used again by larger tasks, exceptions across waits, run_now, the
// census of used stacks, two loops, large stacks. Prints what it did; says nothing else.
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <spruce/spruce.hpp>

using namespace spruce;
using namespace std::chrono_literals;

namespace {
[[gnu::noinline]] int dive(int depth) {
    std::array<char, 200> room{};
    room[static_cast<std::size_t>(depth) % room.size()] = 1;
    asm volatile("" : : "r"(room.data()) : "memory");
    int const below = depth == 0 ? 0 : dive(depth - 1);
    if (depth % 16 == 0) static_cast<void>(yield());
    return below + room[static_cast<std::size_t>(depth) % room.size()];
}

// The callable fills so many bytes of its stack, where the last owner's frames were.
template <std::size_t bytes> int carry() {
    std::array<unsigned char, bytes> load;
    load.fill(3);
    auto t = spawn([load] {
        static_cast<void>(sleep_for(1us));
        int sum = 0;
        for (auto const b : load) sum += b;
        return sum;
    });
    return t.get().value_or(-1) == static_cast<int>(3 * bytes) ? 1 : 0;
}

int play(int rounds) {
    int done = 0;
    for (int round = 0; round != rounds; ++round) {
        std::vector<task<int>> all;
        for (int depth : {3, 40, 100}) all.push_back(spawn(dive, depth));
        all.push_back(spawn({.stack_size = 16 << 10}, dive, 10));
        all.push_back(spawn({.stack_size = 8 << 20}, dive, 1000));
        auto now = spawn(dive, 16);
        if (!run_now(now)) return -1;
        for (auto& t : all) done += t.get().value_or(-1) > 0;
        done += now.get().value_or(-1) > 0;
        done += carry<8>() + carry<3'000>() + carry<60'000>() + carry<200>();
        auto canceled = spawn([] { return sleep_for(1h); });
        static_cast<void>(yield());
        done += canceled.cancel();
        static_cast<void>(canceled.join());
#if SPRUCE_EXCEPTIONS
        try {
            struct waits {
                ~waits() { static_cast<void>(sleep_for(1us)); }
            } here;
            throw std::runtime_error("on its way");
        } catch (std::runtime_error const& e) {
            static_cast<void>(yield());
            done += std::string(e.what()) == "on its way";
        }
#else
        ++done;
#endif
        // Where other tasks have been, and this one.
        std::size_t most = 0;
        auto waits = spawn([] { return sleep_for(1us); });
        for (task_info const& t : loop::current()->census()) {
            if (t.stack_high_water_bytes > most) most = t.stack_high_water_bytes;
        }
        done += most > 200;
        static_cast<void>(waits.join());
    }
    return done;
}
}  // namespace

int main() {
    auto const here = run([] { return play(3); });
    int there = -1;
    std::thread other([&] { there = run([] { return play(2); }).value_or(-1); });
    other.join();
    auto const again = run([] { return play(1); });
    std::printf("%d %d %d\n", here.value_or(-1), there, again.value_or(-1));
}
