// Two sockets for streams.
#pragma once
#include "../harness/owned_fd.hpp"

struct socket_pair {
    explicit socket_pair(harness::world& w) : world(w), ends(w.sockets(), w.on()) {}

    spruce::result<spruce::stream> first() { return ends.first.adopt(); }
    spruce::result<spruce::stream> second() { return ends.second.adopt(); }
    std::ptrdiff_t write_second(std::string_view text) { return world.write(*ends.second, text); }
    int close_second() { return ends.second.close(); }

private:
    harness::world& world;
    harness::owned_pair ends;
};
