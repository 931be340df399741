// A Spruce loop as a guest of GLib's main loop (GTK's, too), without a thread: a GSource. Copy it.
//
//     spruce::loop loop;
//     glib_guest guest(loop);                // in the default context, or in the one that is given
//     g_main_loop_run(main_loop);
//
// Tasks and callbacks may use GLib, and GLib's callbacks may spawn tasks, make timers and so on. In a main loop that a task
// or a callback of Spruce's runs itself, the Spruce loop waits until that ends.
#pragma once
#include <glib-unix.h>
#include <spruce/spruce.hpp>

class glib_guest {
public:
    // Thread: the loop's, which iterates the context. Lifetime: the loop outlives it.
    explicit glib_guest(spruce::loop& loop, GMainContext* context = nullptr, int priority = G_PRIORITY_DEFAULT)
        : source_(g_source_new(functions(), sizeof(source))) {
        at(source_).loop = &loop;
        if (loop.backend_fd() < 0) return;
        at(source_).fd = g_source_add_unix_fd(source_, loop.backend_fd(), G_IO_IN);
        g_source_set_priority(source_, priority);
        g_source_set_static_name(source_, "spruce");
        g_source_attach(source_, context);
    }
    ~glib_guest() {
        g_source_destroy(source_);
        g_source_unref(source_);
    }
    glib_guest(glib_guest const&) = delete;
    glib_guest& operator=(glib_guest const&) = delete;

    // false: this loop's poller has no fd, or the loop has failed or ended.
    bool ok() const { return g_source_get_context(source_) && !g_source_is_destroyed(source_); }

private:
    struct source {
        GSource base;
        spruce::loop* loop;
        gpointer fd;
    };
    static source& at(GSource* s) { return *reinterpret_cast<source*>(s); }

    // Before each sleep: how long it may be.
    static gboolean prepare(GSource* s, gint* timeout) {
        auto const until = at(s).loop->prepare();
        *timeout = until ? until->poll_timeout_ms() : -1;
        g_source_set_ready_time(s, !until || *timeout < 0 ? -1 : g_get_monotonic_time() + until->remaining().count() / 1'000);
        return until && *timeout == 0;
    }
    static gboolean check(GSource* s) { return g_source_query_unix_fd(s, at(s).fd) != 0; }
    // One turn. The source goes with the loop.
    static gboolean dispatch(GSource* s, GSourceFunc, gpointer) {
        return at(s).loop->dispatch().ok() ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    }
    static GSourceFuncs* functions() {
        static GSourceFuncs all{prepare, check, dispatch, nullptr, nullptr, nullptr};
        return &all;
    }

    GSource* source_;
};
