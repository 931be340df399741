// A Spruce loop as a guest of Qt's event loop, without a thread: a notifier on the loop's fd, and a timer for what is due.
// Copy it. Qt 5 or 6, on a thread whose event dispatcher watches fds, as it does wherever there is epoll or kqueue.
//
//     QApplication app(argc, argv);
//     spruce::loop loop;
//     qt_guest guest(loop);       // from here on the loop runs whenever Qt does
//     return app.exec();
//
// Tasks and callbacks may use Qt, and open modal dialogs from Qt's own callbacks: the loop goes on in the dialog's event
// loop. In one that a task or a callback of Spruce's opens, the loop waits until it is closed.
#pragma once
#include <QObject>
#include <QPointer>
#include <QSocketNotifier>
#include <QTimer>
#include <functional>
#include <spruce/spruce.hpp>

class qt_guest : public QObject {
public:
    // Thread: the loop's. Lifetime: the loop outlives it. failed() hears of an error of the loop's, after which it is not
    // run any more.
    explicit qt_guest(spruce::loop& loop, std::function<void(spruce::error)> failed = {}, QObject* parent = nullptr)
        : QObject(parent), loop_(loop), failed_(std::move(failed)), readable_(loop.backend_fd(), QSocketNotifier::Read) {
        if (loop.backend_fd() < 0) {
            // Not here: whoever hears of it may use us.
            QTimer::singleShot(0, this, [this] { give_up(spruce::errc::not_supported); });
            return;
        }
        due_.setSingleShot(true);
        due_.setTimerType(Qt::PreciseTimer);
        connect(&readable_, &QSocketNotifier::activated, this, [this] { turn(); });
        connect(&due_, &QTimer::timeout, this, [this] { turn(); });
        due_.start(0);
    }

private:
    void turn() {
        if (in_turn_) return readable_.setEnabled(false);   // an event loop inside a turn: not again until that is over
        QPointer<qt_guest> const alive(this);
        in_turn_ = true;
        auto const ran = loop_.dispatch();
        if (!alive) return;   // a callback has ended us
        in_turn_ = false;
        if (!ran) return give_up(ran.error());
        auto const until = loop_.prepare();
        if (!until) return give_up(until.error());
        int const ms = until->poll_timeout_ms();
        ms < 0 ? due_.stop() : due_.start(ms);
        readable_.setEnabled(true);
    }
    void give_up(spruce::error why) {
        readable_.setEnabled(false);
        due_.stop();
        if (failed_) failed_(why);
    }

    spruce::loop& loop_;
    std::function<void(spruce::error)> failed_;
    QSocketNotifier readable_;
    QTimer due_;
    bool in_turn_ = false;
};
