// flags: pkg-config --cflags --libs Qt5Widgets && echo -fPIC
// display: a window, and a modal dialog
#include <QApplication>
#include <QLabel>
#include <QMessageBox>

#include "../ride.hpp"
#include "qt.hpp"

using namespace std::chrono_literals;

int main(int count, char** arguments) {
    QApplication app(count, arguments);
    foreign::checks all("Qt");
    {
        // A loop whose poller has no fd to watch.
        bool refused = false;
        spruce::loop no_fd(spruce::loop_options{.poller = spruce::poller::poll});
        qt_guest none(no_fd, [&](spruce::error why) {
            refused = why == spruce::errc::not_supported;
            app.quit();
        });
        app.exec();
        all.expect(refused, "a loop whose poller has no fd is refused");
    }
    {
        spruce::loop loop;
        qt_guest guest(loop, [&](spruce::error why) { all.expect(false, why.name()); });
        {
            foreign::ride everything(loop, [&] { app.quit(); });
            app.exec();
            everything.check(all);
            // Nothing to do: no turn, and no work.
            long const turns = everything.turns();
            double const used = foreign::processor_seconds();
            foreign::idle_watch watch(5s);
            QTimer::singleShot(5'000, &app, [&] { app.quit(); });
            app.exec();
            all.expect(everything.turns() == turns, "idle, not one turn in five seconds");
            all.expect(watch.woken() == 0, "idle, not one wake-up of any thread");
            all.expect(foreign::processor_seconds() - used < 0.1, "idle, no processor time");
        }
        // What Qt's own callbacks begin is heard at once.
        bool slept = false;
        QTimer::singleShot(0, &app, [&] {
            spruce::spawn([&] {
                slept = spruce::sleep_for(5ms).ok();
                app.quit();
            });
        });
        QTimer::singleShot(10'000, &app, [&] { app.quit(); });
        app.exec();
        all.expect(slept, "a task that a Qt callback spawned runs, and sleeps");

        // A window that the guest writes to, and a modal dialog over it.
        QLabel window("Spruce in Qt");
        window.resize(400, 200);
        window.show();
        long ticks = 0, ticks_in_dialog = 0;
        auto ticking = loop.call_every(10ms, [&] { window.setText(QString("tick %1").arg(++ticks)); });
        QTimer::singleShot(200, &app, [&] {
            QMessageBox box(QMessageBox::Information, "Modal", "The guest keeps ticking.", QMessageBox::Ok, &window);
            long const before = ticks;
            QTimer::singleShot(1'500, &box, &QMessageBox::accept);
            std::puts("window shown");
            box.exec();
            ticks_in_dialog = ticks - before;
            app.quit();
        });
        app.exec();
        all.expect(ticks_in_dialog > 20, "the guest keeps ticking while a modal dialog is open");

        // A dialog that the guest opens: the guest waits, and does not spin.
        long const before = ticks;
        double const used = foreign::processor_seconds();
        loop.call_soon([&] {
            QMessageBox box;
            QTimer::singleShot(1'000, &box, &QMessageBox::accept);
            box.exec();
        });
        QTimer::singleShot(1'500, &app, [&] { app.quit(); });
        app.exec();
        all.expect(foreign::processor_seconds() - used < 0.5, "a dialog inside a turn does not make the host spin");
        all.expect(ticks > before, "and the guest goes on afterwards");
        ticking.cancel();
        all.expect(loop.destroy(spruce::in(1s)).ok(), "the loop ends");
    }
    return all.code();
}
