// A server that sends back what it gets, one task for each client, and a client that reads line by line.
// expect: back came: spruce
// expect: back came: fir
// expect: back came: a pine without an end of line
// expect: and then end_of_stream
// expect: the server ended with closed
#include <cstdio>
#include <spruce/spruce.hpp>
#include <string_view>
using namespace spruce;
using namespace std::chrono_literals;

static void echo(tcp_stream client) {
    char room[1024];
    while (auto n = client.read(room, in(5s))) {  // until it has said all, or something is wrong
        if (!client.write(std::string_view(room, *n), in(5s))) return;
    }
}

static result<void> talk(address const& to) {
    SPRUCE_TRY(auto server, tcp_stream::connect(to, in(5s)));
    SPRUCE_CHECK(server.write("spruce\nfir\na pine without an end of line"));
    SPRUCE_CHECK(server.shut_write());
    reader lines(server);
    while (auto line = lines.read_line(in(5s))) {
        std::printf("back came: %.*s\n", static_cast<int>(line->size()), line->data());
    }
    std::printf("and then %s\n", lines.read_line().error().name());
    return {};
}

int main() {
    auto ran = run([]() -> result<void> {
        SPRUCE_TRY(auto listener, tcp_listener::listen("127.0.0.1:0"));
        task_group clients;
        auto server = spawn([&]() -> result<void> {
            for (;;) {
                SPRUCE_TRY(auto client, listener.accept());
                clients.spawn(echo, std::move(client));
            }
        });
        SPRUCE_CHECK(talk(listener.local()));
        listener.close();
        std::printf("the server ended with %s\n", server.get().error().name());
        return {};
    });
    return ran ? 0 : 1;
}
