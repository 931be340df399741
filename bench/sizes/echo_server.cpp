// A server for devices with little room: one task a connection, all that it is sent goes back. Only its size is of
// interest, see tools/count-sizes: what it does not use should not be in it.
#include <spruce/net.hpp>
#include <spruce/run.hpp>
#include <spruce/task.hpp>

int main() {
    auto const ended = spruce::run([]() -> spruce::result<void> {
        SPRUCE_TRY(auto door, spruce::tcp_listener::listen("*:7007"));
        for (;;) {
            SPRUCE_TRY(auto peer, door.accept());
            spruce::spawn([s = std::move(peer)]() mutable {
                char room[1024];
                while (auto const got = s.read(room))
                    if (!s.write({room, *got})) break;
            });
        }
    });
    return ended ? 0 : 1;
}
