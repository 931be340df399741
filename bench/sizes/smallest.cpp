// One task that sleeps once. Only its size is of interest, see tools/count-sizes.
#include <spruce/task.hpp>

int main() {
    spruce::loop hub;
    spruce::spawn([] { static_cast<void>(spruce::sleep_for(std::chrono::seconds(1))); });
    return hub.run() ? 0 : 1;
}
