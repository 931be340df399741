// The simulated kernel: what is open, what is under way, what time it is. One lock guards it all, except that wake()
// takes none, so that it may come from signal handlers. See testing.hpp for what it does.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <spruce/testing.hpp>

#include "../base/intrusive_list.hpp"
#include "../sys/kernel.hpp"
#include "../sys/signals.hpp"
#include "simulated_address.hpp"
#include "simulated_bytes.hpp"

namespace spruce { inline namespace v0 { namespace detail {

// The clock is not moved on beyond it: a wait until then can be told from one without an end.
inline constexpr std::int64_t end_of_time = std::numeric_limits<std::int64_t>::max() - (std::int64_t{1} << 33);

struct simulated_file;
struct simulated_poller;
struct simulated_queue;
struct simulated_sleeper;
struct simulated_waker;

// Watches are told with the readiness that changed; a change of this kind concerns them all.
inline constexpr unsigned any_change = 0;
constexpr unsigned bit_if(bool on, readiness bit) noexcept { return on ? static_cast<unsigned>(bit) : 0U; }

// One registration of a file with a poller. It belongs to the file, not to the number: it stays while any number
// names the file, and is found by both.
struct simulated_watch_of_file : list_link {};
struct simulated_watch_of_poller : list_link {};
struct simulated_watch_ready : list_link {};
struct simulated_watch : simulated_watch_of_file, simulated_watch_of_poller, simulated_watch_ready {
    simulated_poller* poller;
    simulated_file* file;
    int fd;
    std::uint32_t generation;
    std::uint8_t wanted;
};

// And with a queue of kevent's, where it goes by the number and by what is watched for: simulated_kevent.hpp.
struct simulated_knote_of_subject : list_link {};

enum class simulated_kind : std::uint8_t { pipe_reader, pipe_writer, stream, waker, file, child, queue };
enum class stream_state : std::uint8_t {
    fresh,          // made, perhaps bound
    listening,
    connecting,     // the SYN is under way, or waits for room in a backlog
    established,    // … even when both sides have shut down
    over            // refused or reset
};
enum : std::uint8_t { shut_in = 1, shut_out = 2, shut_both = 3 };

// What fds name. Two links: in a listener's queue or among the parked connects, and among all that are bound.
struct simulated_turn : list_link {};
struct simulated_bound : list_link {};
struct simulated_file : simulated_turn, simulated_bound {
    simulated_kind kind = simulated_kind::file;
    stream_state state = stream_state::fresh;
    std::uint8_t shut = 0;               // what this side knows to be over
    bool ended = false;                  // the peer's FIN has come: reads give 0 for ever
    bool starved = false;                // a write did not fit: tell when there is room
    bool no_room = false;                // a pipe's writer whose reader left it full
    bool had_writer = true;              // a FIFO's reader: since it was opened
    bool doomed = false;                 // a reset is under way to it
    bool new_outcome = false;            // a connect has succeeded, and connect() has not said so yet
    bool reuse_address = false, reuse_port = false, only_ipv6 = false, no_delay = false, keep_alive = false;
    bool reset_on_close = false;         // SO_LINGER with 0
    bool blocks = false;                 // its calls wait
    int error = 0;                       // SO_ERROR
    unsigned fds = 0;                    // numbers that name it
    simulated_file* peer = nullptr;
    simulated_bytes inbox;
    std::size_t room_to_receive = 0, room_to_send = 0;
    bool urgent = false;                 // urgent data has come, and no read went beyond it yet; it lies …
    std::size_t before_urgent = 0;       // … behind so many bytes of the inbox
    std::int64_t last_due_ns = 0;        // of what is under way to it: it arrives in order
    simulated_address local, remote;
    intrusive_list<simulated_turn> queue;   // a listener's connections, not yet accepted
    unsigned backlog = 0, queued = 0;
    simulated_waker* waker = nullptr;
    int pid = 0;
    intrusive_list<simulated_watch_of_file> watches;
    simulated_queue* kqueue = nullptr;
    intrusive_list<simulated_knote_of_subject> knotes;
};

inline bool is_tcp(simulated_file const& f) noexcept {
    return f.kind == simulated_kind::stream && f.local.kind != simulated_address::family::local;
}

// What is under way: it arrives when its time has come.
enum class under_way : std::uint8_t { syn, data, fin, reset };
struct simulated_delivery {
    std::int64_t due_ns;
    std::uint64_t sequence;
    simulated_file* to;
    std::size_t count;
    under_way what;
};

// A waker's fixed part, which wake() reaches without a lock. Its number is stored last when it opens, and cleared
// first when it closes.
struct simulated_waker {
    std::atomic<int> write_fd{-1};
    std::atomic<std::uint32_t> count{0};     // an eventfd's counter, or a pipe's bytes
    std::atomic<std::uint32_t> writes{0};    // how often it was written, so that each write is an edge
    std::uint32_t seen = 0;                  // of those, as far as the poller was told
    bool is_pipe = false;
    simulated_file* reader = nullptr;        // null: this place is free
    simulated_file* writer = nullptr;
};

// Where a poller sleeps for real. A place is never given up while the kernel lives: a wake() on another thread may
// hold its number.
struct simulated_bell {
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<int> write_fd{-1};           // the real kernel's numbers; made when first slept on
    int read_fd = -1;
    simulated_sleeper* sleeper = nullptr;
};

struct simulated_child {
    simulated_child* next;
    int pid;
    enum : std::uint8_t { running, ending, ended } state;   // ending: told, perhaps, and not to be reaped yet
    child_status status;
    intrusive_list<simulated_turn> watchers;   // its fds' files
    intrusive_list<simulated_knote_of_subject> knotes;
};

struct simulated_subscription {
    simulated_subscription* next;
    signal_port* port;
    int signal;
};

struct simulated_kernel {
    explicit simulated_kernel(testing::simulation_options const& o) noexcept;
    ~simulated_kernel();
    simulated_kernel(simulated_kernel const&) = delete;
    simulated_kernel& operator=(simulated_kernel const&) = delete;

    // -- the lock. Letting go of it rings those who sleep, if something has changed.
    void lock() noexcept;
    void unlock() noexcept;
    std::atomic<std::uint32_t> locked{0};
    bool changed = false;

    testing::simulation_options options;
    kernel seam;
    std::uint64_t random_state;

    // -- numbers; simulated_fds.cpp
    simulated_file** numbers = nullptr;      // by number, from options.first_fd
    std::size_t room = 0, open = 0;
    std::size_t lowest_free = 0;             // nothing below is free

    // -- time and what is under way; simulated_time.cpp
    std::atomic<std::int64_t> now_ns;
    std::atomic<std::int32_t> holds{0};
    simulated_delivery* heap = nullptr;      // the earliest first
    std::size_t heap_room = 0, heap_size = 0;
    std::size_t streams = 0;                 // each may have a SYN, a FIN and a reset under way
    std::uint64_t deliveries = 0;

    // -- network; simulated_socket.cpp
    intrusive_list<simulated_bound> bound;
    intrusive_list<simulated_turn> parked;   // connects that wait for room in a backlog
    std::uint16_t next_port = 40'000;

    // -- the rest
    simulated_waker wakers[64];
    std::atomic<std::uint32_t> wakers_used{0};
    simulated_bell bells[16];
    simulated_child* children = nullptr;
    int next_pid = 100'000;
    std::size_t ending = 0;                  // children that are
    intrusive_list<simulated_knote_of_subject> signal_knotes;
    simulated_subscription* subscriptions = nullptr;
};

struct simulated_guard {
    explicit simulated_guard(simulated_kernel& k) noexcept : kernel_(k) { k.lock(); }
    ~simulated_guard() { kernel_.unlock(); }
    simulated_guard(simulated_guard const&) = delete;
    simulated_guard& operator=(simulated_guard const&) = delete;

private:
    simulated_kernel& kernel_;
};

// What follows is called with the lock held, but where it says otherwise.

// -- drawn numbers: from 0 to below `bound`, which is not 0
std::uint64_t draw(simulated_kernel& k, std::uint64_t bound) noexcept;

// -- files and numbers
simulated_file* make_simulated_file(simulated_kernel& k, simulated_kind kind) noexcept;   // null: no memory
void discard_file(simulated_kernel& k, simulated_file& f) noexcept;   // no number names it any more, or none ever did
int install(simulated_kernel& k, simulated_file& f) noexcept;         // the lowest free number, or -errno
simulated_file* find_file(simulated_kernel& k, int fd) noexcept;
int duplicate_fd(simulated_kernel& k, int fd) noexcept;
int close_fd(simulated_kernel& k, int fd) noexcept;
void close_everything(simulated_kernel& k) noexcept;
int make_pair(simulated_kernel& k, simulated_file* first, simulated_file* second, int ends[2]) noexcept;
int make_file_fd(simulated_kernel& k, void const* contents, std::size_t size) noexcept;
int make_pipe_fds(simulated_kernel& k, int ends[2]) noexcept;
int make_socketpair_fds(simulated_kernel& k, int ends[2]) noexcept;

int kind_of_file(simulated_file const& f) noexcept;                     // an fd_kind
int open_fifo_reader(simulated_kernel& k) noexcept;                     // the new fd, or -errno
int open_fifo_writer(simulated_kernel& k, simulated_file& reader) noexcept;
// Of a pipe's reader: whether its writer has gone, and not only not come yet.
inline bool is_pipe_over(simulated_file const& f) noexcept { return !f.peer && f.had_writer && f.inbox.size() == 0; }

// -- bytes; simulated_bytes of pipes and sockets
unsigned look_at(simulated_file& f) noexcept;                          // what is ready, as readiness bits
std::size_t room_for(simulated_file const& f) noexcept;                // that a writer may write
bool is_writable(simulated_file const& f) noexcept;
ssize read_file(simulated_kernel& k, simulated_file& f, void* into, std::size_t size) noexcept;
ssize write_file(simulated_kernel& k, simulated_file& f, io_slice const* slices, int count) noexcept;
int send_urgent_byte(simulated_kernel& k, simulated_file& f) noexcept;
int shut_down(simulated_kernel& k, simulated_file& f, std::uint8_t what) noexcept;
void leave_stream(simulated_kernel& k, simulated_file& f) noexcept;     // its last number was closed
void break_off(simulated_kernel& k, simulated_file& f, int error) noexcept;   // it was refused or reset

// -- sockets
int open_socket(simulated_kernel& k, simulated_address::family kind) noexcept;
int listen_on(simulated_kernel& k, simulated_file& f, int backlog) noexcept;
int bind_to(simulated_kernel& k, simulated_file& f, simulated_address const& to) noexcept;
int connect_to(simulated_kernel& k, simulated_file& f, simulated_address const& to) noexcept;
int accept_from(simulated_kernel& k, simulated_file& f, simulated_file** taken) noexcept;   // the new fd, or -errno
void syn_arrives(simulated_kernel& k, simulated_file& f) noexcept;
void leave_socket(simulated_kernel& k, simulated_file& f) noexcept;     // gives up its port, its queue and its turn
int get_option(simulated_kernel& k, simulated_file& f, int level, int name, void* value, unsigned* length) noexcept;
int set_option(simulated_kernel& k, simulated_file& f, int level, int name, void const* value,
               unsigned length) noexcept;

// -- time
// Makes room for `more` data under way, beside what every stream may send without asking. False: no memory.
bool reserve_delivery(simulated_kernel& k, std::size_t more) noexcept;
// Lets it arrive after the latency, or at once if there is none.
void send_off(simulated_kernel& k, simulated_file& to, under_way what, std::size_t count) noexcept;
void arrive(simulated_kernel& k, simulated_file& to, under_way what, std::size_t count) noexcept;
void forget_deliveries(simulated_kernel& k, simulated_file& to) noexcept;
// Moves the clock, and all arrives on its way whose time has come.
void move_clock(simulated_kernel& k, std::int64_t to_ns) noexcept;
std::int64_t next_delivery_ns(simulated_kernel& k) noexcept;            // INT64_MAX: nothing is under way

// -- pollers
void notify(simulated_kernel& k, simulated_file& f, unsigned key) noexcept;
// Of a change that only concerns these of a queue's filters, ready_read and ready_write, but all other watches.
void notify_change(simulated_kernel& k, simulated_file& f, unsigned filters) noexcept;
void drop_watches(simulated_kernel& k, simulated_file& f) noexcept;
int make_simulated_poller(void* context, int which, memory_hook memory, kernel::made_poller* out) noexcept;   // locks

// Without the lock: waits until the poller tells something of the fd. -EAGAIN: it is not one that blocks.
int wait_if_blocking(simulated_kernel& k, int fd, interest in) noexcept;

// -- wakers and sleep
int make_waker_fds(simulated_kernel& k, waker_kind wanted, waker_fds* out) noexcept;
void wake_by(simulated_kernel& k, int write_fd) noexcept;               // without the lock; signal handlers too
void collect_wakes(simulated_kernel& k) noexcept;
void leave_waker(simulated_kernel& k, simulated_file& f, int fd) noexcept;
ssize read_waker(simulated_file& f, void* into, std::size_t size) noexcept;
ssize write_waker(simulated_kernel& k, simulated_file& f, io_slice const* slices, int count) noexcept;
void ring_sleepers(simulated_kernel& k) noexcept;                       // without the lock; signal handlers too
simulated_bell* claim_bell(simulated_kernel& k, simulated_sleeper* for_whom) noexcept;
int prepare_bell(simulated_bell& bell) noexcept;
void close_bell(simulated_bell& bell) noexcept;
// Without the lock: sleeps until rung. False: `longest_ns` of real time have passed (negative: never).
bool sleep_on(simulated_bell& bell, std::int64_t longest_ns) noexcept;

// -- signals and children
int subscribe_to(simulated_kernel& k, signal_port* port, int signal) noexcept;
int unsubscribe_from(simulated_kernel& k, signal_port* port, int signal) noexcept;
std::size_t tell_signal(simulated_kernel& k, int signal) noexcept;
int begin_child(simulated_kernel& k) noexcept;
int finish_child(simulated_kernel& k, int pid, child_status status) noexcept;
bool end_children(simulated_kernel& k) noexcept;                         // those whose end was only told until now
int steal_child(simulated_kernel& k, int pid) noexcept;
int open_child_fd(simulated_kernel& k, int pid) noexcept;
int take_child(simulated_kernel& k, int pid, child_status* out) noexcept;
void drop_children(simulated_kernel& k) noexcept;

}}}  // namespace spruce::v0::detail
