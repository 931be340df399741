// The axis --host: each run() of a test is an interleaved one, inside a host's loop that this thread runs meanwhile. So the
// whole suite says that a guest's run is like one of its own.
#pragma once
#include <string_view>

#include <spruce/spruce.hpp>

namespace harness {

// A host's loop, made for one run.
struct host_kind {
    char const* name;                                        // what --host says
    void* (*make)();
    void (*post)(void* host, spruce::host_turn turn);        // from any thread: the host calls it
    bool (*step)(void* host);                                // lets the host make a call, or more; waits for one. false: none came
    void (*end)(void* host);
    host_kind* next = nullptr;
};
// By static initialisers: "queue" is always there.
void offer_host(host_kind& kind);

// Every run of this process is one in such a host. false: there is none of the name.
bool run_in_host(std::string_view name);

}  // namespace harness
