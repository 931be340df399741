// Two sockets for streams. A stream that there is no place for leaves its fd to whoever has it: that is here.
#pragma once
#include <utility>

#include <spruce/io.hpp>

#include "../harness/axes.hpp"

struct socket_pair {
    explicit socket_pair(harness::world& w) : world(w), fds(w.sockets()) {}
    ~socket_pair() {
        close(fds.first);
        close(fds.second);
    }
    socket_pair(socket_pair const&) = delete;
    socket_pair& operator=(socket_pair const&) = delete;

    spruce::result<spruce::stream> first() { return adopt(fds.first); }
    spruce::result<spruce::stream> second() { return adopt(fds.second); }
    std::ptrdiff_t write_second(std::string_view text) { return world.write(fds.second, text); }
    int close_second() { return close(fds.second); }

private:
    spruce::result<spruce::stream> adopt(int& fd) {
        auto made = spruce::stream::adopt(fd);
        if (made.ok()) fd = -1;
        return made;
    }
    int close(int& fd) { return fd < 0 ? 0 : world.close(std::exchange(fd, -1)); }

    harness::world& world;
    std::pair<int, int> fds;
};
