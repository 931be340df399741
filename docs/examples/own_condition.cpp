// A condition of one's own: a level that is waited for, among others, until it is high enough.
// expect: at 3 the pump stops
// expect: nothing more: timed out
#include <cstdio>
#include <spruce/spruce.hpp>
using namespace spruce;
using namespace std::chrono_literals;

class tank {
public:
    explicit tank(int wanted) : wanted_(wanted) {}
    void fill() {
        if (++level_ >= wanted_ && point_) point_->fire();
    }
    void drain() { level_ = 0; }

    // What makes it a condition. Nothing is armed beyond a wait, so that there is nothing to clean up.
    result<void> arm(wait_point& p) {
        point_ = &p;
        if (level_ >= wanted_) p.fire();
        return {};
    }
    void disarm() noexcept { point_ = nullptr; }
    result<int> take() { return level_; }

private:
    int wanted_, level_ = 0;
    wait_point* point_ = nullptr;
};

int main() {
    auto all = run([]() -> result<void> {
        tank water(3);
        auto pump = spawn([&] {
            while (sleep_for(1ms)) water.fill();
        });
        SPRUCE_TRY(auto full, wait_any(water, in(10s)));
        pump.cancel();
        std::printf("at %d the pump stops\n", full.get<0>().value_or(0));
        water.drain();
        SPRUCE_TRY(auto more, wait_any(water, in(5ms)));
        std::printf("nothing more: %s\n", more.timed_out() ? "timed out" : "?");
        return {};
    });
    return all ? 0 : 1;
}
