// spruce-serve as a child process: started, listened to, told to stop, and gone when this is.
#pragma once
#include <spruce/spruce.hpp>

#include <string>

namespace demo {

class demo_server {
public:
    demo_server() = default;
    demo_server(demo_server const&) = delete;
    demo_server& operator=(demo_server const&) = delete;
    ~demo_server();  // kills it if it still runs, and waits; for tasks

    // Starts it on a free port and waits for its first line. Errors: an errno; those of reading; `broken` if the
    // first line is not what it should be.
    spruce::result<void> start(char const* program, char const* folder, unsigned threads);
    std::string const& first_line() const noexcept { return first_line_; }
    spruce::address const& address() const noexcept { return address_; }
    int pid() const noexcept { return pid_; }

    spruce::result<void> send_signal(int sig) noexcept;
    // How it ended.
    spruce::result<spruce::exit_status> wait(spruce::deadline dl);

private:
    int pid_ = 0;
    std::string first_line_;
    spruce::address address_;
    spruce::event ended_;
    spruce::result<spruce::exit_status> status_ = spruce::errc::wrong_state;
    spruce::scoped_handler on_end_;
};

}  // namespace demo
