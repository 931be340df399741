// flags: pkg-config --cflags --libs glib-2.0
// --host glib: the suite's runs are interleaved in a GLib main context each.
#include <glib.h>
#include <utility>

#include "../../harness/guest_runs.hpp"

namespace {
GMainContext* context_of(void* host) { return static_cast<GMainContext*>(host); }

harness::host_kind glib{
    "glib", [] { return static_cast<void*>(g_main_context_new()); },
    [](void* host, spruce::host_turn turn) {
        GSource* const source = g_idle_source_new();
        g_source_set_callback(source, [](gpointer at) -> gboolean {
            (*static_cast<spruce::host_turn*>(at))();
            return G_SOURCE_REMOVE;
        }, new spruce::host_turn(std::move(turn)), [](gpointer at) { delete static_cast<spruce::host_turn*>(at); });
        g_source_attach(source, context_of(host));
        g_source_unref(source);
    },
    [](void* host) {
        g_main_context_iteration(context_of(host), TRUE);
        return true;
    },
    [](void* host) { g_main_context_unref(context_of(host)); }};
bool const offered = (harness::offer_host(glib), true);
}  // namespace
