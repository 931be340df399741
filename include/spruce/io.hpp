// Streams of bytes, and a buffered reader before them.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "loop.hpp"
#include "result.hpp"
#include "time.hpp"

namespace spruce { inline namespace v0 {

// Room to read into: arrays, spans and containers of one-byte things. Made implicitly; refers, and owns nothing.
class bytes {
public:
    template <class B>
        requires(sizeof(B) == 1 && !std::is_const_v<B>)
    bytes(std::span<B> s) noexcept : data_(reinterpret_cast<std::byte*>(s.data())), size_(s.size()) {}
    template <class B, std::size_t N>
        requires(sizeof(B) == 1 && !std::is_const_v<B>)
    bytes(B (&array)[N]) noexcept : data_(reinterpret_cast<std::byte*>(array)), size_(N) {}
    template <class R>
        requires(!std::is_array_v<std::remove_reference_t<R>> &&
                 std::constructible_from<std::span<std::remove_pointer_t<decltype(std::declval<R&>().data())>>, R&>)
    bytes(R& container) noexcept
        : bytes(std::span<std::remove_pointer_t<decltype(container.data())>>(container)) {}
    bytes(void* data, std::size_t size) noexcept : data_(static_cast<std::byte*>(data)), size_(size) {}
    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    std::byte* data_;
    std::size_t size_;
};

// Something to write: text, or a container of one-byte things. Made implicitly; refers, and owns nothing.
class const_bytes {
public:
    template <class T>
        requires std::convertible_to<T const&, std::string_view>
    const_bytes(T const& text) noexcept : const_bytes(as_text{}, text) {}
    template <class R>
        requires(!std::convertible_to<R const&, std::string_view> && sizeof(*std::declval<R const&>().data()) == 1)
    const_bytes(R const& container) noexcept
        : data_(reinterpret_cast<std::byte const*>(container.data())), size_(container.size()) {}
    const_bytes(void const* data, std::size_t size) noexcept
        : data_(static_cast<std::byte const*>(data)), size_(size) {}
    // Is a char array text, and how long? Say {room, size}, or a string_view.
    template <std::size_t N> const_bytes(char (&room)[N]) = delete;
    std::byte const* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    struct as_text {};
    const_bytes(as_text, std::string_view text) noexcept
        : data_(reinterpret_cast<std::byte const*>(text.data())), size_(text.size()) {}
    std::byte const* data_;
    std::size_t size_;
};

namespace detail {
struct fd_entry;
struct remote;
// A stream's fd, and the loop it belongs to.
struct stream_core {
    remote* door = nullptr;        // of its loop, and so alive after it
    fd_entry* entry = nullptr;
    std::uint64_t written = 0;
    int fd = -1;
    std::uint32_t serial = 0;      // of its loop
    std::uint32_t owner = 0;       // which of the number's ownerships is ours
    std::uint8_t kind = 0;         // an fd_kind
    bool drains : 1 = false;       // a read that was short has left nothing behind, unless the poller says otherwise
    bool ended : 1 = false;        // a connection: the peer's end was read
    std::uint16_t broke = 0;       // a connection: the errno that ended it, which the system says once
    bool is_connection() const noexcept { return kind >= 1 && kind <= 3; }
    bool is_socket() const noexcept { return kind >= 1 && kind <= 4; }
};
// fresh: the kernel has just made it, so that a registration of that number before is stale.
SPRUCE_API result<stream_core> open_core(int fd, bool fresh = false) noexcept;
SPRUCE_API void close_core(stream_core& c) noexcept;
}  // namespace detail

// Bytes both ways. Owns its fd: its end closes it. One reader and one writer at a time; a second gets
// already_registered. Thread: that of the loop it was made on; calls from others give wrong_thread. Lifetime: not to
// be moved while a call on it waits; may be closed or destroyed then: the call gives closed. After its loop's end
// every call gives closed, on whatever thread. Calls outside a task work as long as they need not wait, else they give
// not_in_task.
class stream {
public:
    stream(stream&& other) noexcept : core_(std::exchange(other.core_, {})) {}
    stream& operator=(stream&& other) noexcept {
        if (this != &other) {
            detail::close_core(core_);
            core_ = std::exchange(other.core_, {});
        }
        return *this;
    }
    ~stream() { detail::close_core(core_); }

    // Takes ownership of fd, any that can be polled (and files, which are always ready), and makes it non-blocking. Of
    // a socket of packets each read gives one, cut to the buffer's size, and an empty one reads as end_of_stream; each
    // write is one.
    // Errors: no_loop, invalid_argument (not open), already_registered (also where a handler, or another stream, has
    // had the number since before its fd was closed by others: who does that removes the handler first), full,
    // no_memory. On failure the fd stays the caller's, as it was.
    [[nodiscard]] SPRUCE_API static result<stream> adopt(int fd);
    // Gives the fd back, non-blocking still; the stream is closed, those who wait get closed. Errors: closed,
    // wrong_thread.
    [[nodiscard]] SPRUCE_API result<int> release();

    // Waits until there is something to read. Returns: how many bytes were read, 1 to into.size().
    // Errors: end_of_stream (a terminal has it, too, when its other side is gone; a FIFO has not before a writer has
    // come), closed, wrong_thread, canceled, timed_out, not_in_task, already_registered, invalid_argument (no room), an
    // errno: what broke the connection (ECONNRESET…) comes after all that had arrived, again with each call, and
    // never end_of_stream instead, whichever call reported it first. Cancel: no byte is lost.
    [[nodiscard]] SPRUCE_API result<std::size_t> read(bytes into, deadline dl = {});
    // Writes all of it. Errors: as read, but end_of_stream; EPIPE when the peer is gone, or what broke the connection,
    // if a call reported it. After an error a part may have been written: bytes_written() tells. Cancel: likewise.
    [[nodiscard]] SPRUCE_API result<void> write(const_bytes from, deadline dl = {});
    // Writes all parts, in order, gathered.
    [[nodiscard]] SPRUCE_API result<void> write(std::span<const_bytes const> parts, deadline dl = {});
    // Waits until something can be written. Returns: how much was, at least 1 byte if there is any.
    [[nodiscard]] SPRUCE_API result<std::size_t> write_some(const_bytes from, deadline dl = {});
    // Half-close: the peer reads the end, we go on reading. Errors: closed, wrong_thread, not_supported (no socket),
    // ENOTCONN.
    SPRUCE_API result<void> shut_write();
    // Closes the fd; those who wait get closed, before the number can be used again. Idempotent.
    void close() noexcept { detail::close_core(core_); }
    bool is_open() const noexcept { return core_.fd >= 0; }
    // All that was written since it was made.
    std::uint64_t bytes_written() const noexcept { return core_.written; }
    // Its fd, or -1.
    int fd() const noexcept { return core_.fd; }

protected:
    stream() noexcept = default;
    explicit stream(detail::stream_core core) noexcept : core_(core) {}
    detail::stream_core core_;

private:
    friend class reader;
    // read(), for calls that read several times: the deadline becomes absolute at the first wait.
    SPRUCE_API result<std::size_t> read_on(bytes into, deadline& dl);
};

// A buffer before a stream. Its views live until its next call. Thread and Cancel: as the stream, also where the buffer
// has all that is asked for; a partial stays in the reader, so that the next call goes on where this one ended.
// Lifetime: the stream outlives it, and stays put.
class reader : detail::pinned {
public:
    // limit: the most it holds, and so the longest line; its memory is the loop's, and grows as needed.
    explicit reader(stream& s, std::size_t limit = 65'536) noexcept : stream_(s), limit_(limit) {}
    SPRUCE_API ~reader();

    // Just n bytes. Errors: too_long (n is over the limit), no_memory, and read's; end_of_stream leaves what came in
    // buffered().
    [[nodiscard]] SPRUCE_API result<std::string_view> read_exactly(std::size_t n, deadline dl = {});
    // Through the first of the delimiters, which is part of it. Errors: too_long (none within the limit),
    // invalid_argument (no delimiter, or an empty one), no_memory, and read's.
    [[nodiscard]] SPRUCE_API result<std::string_view> read_until(std::initializer_list<std::string_view> delimiters,
                                                                 deadline dl = {});
    // A line without its end, "\n" or "\r\n". A last line without one counts. Errors: as read_until.
    [[nodiscard]] SPRUCE_API result<std::string_view> read_line(deadline dl = {});
    // What is there, at least one byte.
    [[nodiscard]] SPRUCE_API result<std::string_view> read_some(deadline dl = {});
    // What was read from the stream and not yet given out.
    std::string_view buffered() const noexcept { return {data_ + begin_, end_ - begin_}; }

private:
    result<void> begin() const noexcept;
    result<void> fill(deadline& dl);
    std::string_view take(std::size_t n) noexcept;

    stream& stream_;
    std::size_t limit_;
    char* data_ = nullptr;
    std::size_t room_ = 0, begin_ = 0, end_ = 0;
    memory_hook memory_{};
};

// One end of a pipe.
class pipe_stream : public stream {
public:
    explicit pipe_stream(detail::stream_core core) noexcept : stream(core) {}
};
// The two ends of a pipe.
struct pipe_ends {
    pipe_stream read_end, write_end;
};
// A pipe within this process. Errors: no_loop, full, no_memory, an errno.
[[nodiscard]] SPRUCE_API result<pipe_ends> make_pipe();

}}  // namespace spruce::v0
