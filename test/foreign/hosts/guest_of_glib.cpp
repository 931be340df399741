// flags: pkg-config --cflags --libs glib-2.0
#include <utility>

#include "../both_ways.hpp"
#include "glib.hpp"

namespace {
struct glib_loop {
    GMainLoop* loop = g_main_loop_new(nullptr, FALSE);

    static inline long polls = 0;

    glib_loop() {
        g_main_context_set_poll_func(nullptr, [](GPollFD* fds, guint count, gint timeout_ms) -> gint {
            ++polls;
            return g_poll(fds, count, timeout_ms);
        });
    }
    ~glib_loop() { g_main_loop_unref(loop); }
    long wakes() const { return polls; }
    void post(spruce::host_turn turn) {
        g_idle_add_full(G_PRIORITY_DEFAULT, [](gpointer at) -> gboolean {
            (*static_cast<spruce::host_turn*>(at))();
            return G_SOURCE_REMOVE;
        }, new spruce::host_turn(std::move(turn)), [](gpointer at) { delete static_cast<spruce::host_turn*>(at); });
    }
    void after(guint ms, std::function<void()> f) {
        g_timeout_add_full(G_PRIORITY_DEFAULT, ms, [](gpointer at) -> gboolean {
            (*static_cast<std::function<void()>*>(at))();
            return G_SOURCE_REMOVE;
        }, new std::function<void()>(std::move(f)), [](gpointer at) { delete static_cast<std::function<void()>*>(at); });
    }
    void quit() { g_main_loop_quit(loop); }
    void run() { g_main_loop_run(loop); }
    void once() { g_main_context_iteration(nullptr, TRUE); }
};
}  // namespace

int main() {
    foreign::checks all("GLib");
    glib_loop host;
    {
        spruce::loop loop;
        glib_guest guest(loop);
        all.expect(guest.ok(), "the loop's fd is watched");
        foreign::without_fd<glib_guest>(all, static_cast<GMainContext*>(nullptr));
        foreign::scenes(all, host, loop, "by fd");
        // A main loop inside a callback of the host's: the guest goes on.
        int ticks = 0;
        auto ticking = loop.call_every(std::chrono::milliseconds(2), [&] { ++ticks; });
        host.after(1, [&] {
            GMainLoop* const inner = g_main_loop_new(nullptr, FALSE);
            g_timeout_add(100, [](gpointer l) -> gboolean { return g_main_loop_quit(static_cast<GMainLoop*>(l)), G_SOURCE_REMOVE; }, inner);
            g_main_loop_run(inner);
            g_main_loop_unref(inner);
            host.quit();
        });
        host.run();
        all.expect(ticks > 3, "the guest goes on in a main loop inside a callback of the host's");
        ticking.cancel();
        all.expect(loop.destroy(spruce::in(std::chrono::seconds(1))).ok(), "the loop ends");
    }
    foreign::scenes_interleaved(all, host);
    return all.code();
}
