#include <spruce/io.hpp>

#include <cstring>

#include "fd_wait.hpp"

namespace spruce { inline namespace v0 {

reader::~reader() { detail::release(memory_, data_, room_, 1); }

// The look at the head of each call: also where what was read before is enough for it.
result<void> reader::begin() const noexcept {
    SPRUCE_CHECK(detail::begin_wait());
    auto const usable = detail::usable(stream_.core_);
    // Of a closed one there may be bytes left here
    if (!usable) return usable == errc::wrong_thread ? usable : result<void>();
    // Another call waits for bytes that are to stand behind those that are here: they are its own.
    detail::fd_entry const& e = *stream_.core_.entry;
    if (e.on_read && !e.raw_read) return detail::with_detail(errc::already_registered, "a read is already pending");
    return {};
}

// Reads once, behind what is there; makes room first, by moving down or by growing up to the limit.
result<void> reader::fill(deadline& dl) {
    SPRUCE_CHECK(detail::usable(stream_.core_));
    SPRUCE_CHECK(detail::between_transfers(stream_.core_, false));
    if (end_ == room_) {
        if (begin_ != 0) {
            std::memmove(data_, data_ + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        } else {
            if (room_ >= limit_) return errc::too_long;
            if (!data_) memory_ = detail::current_hub->options.memory;
            std::size_t bigger = room_ ? room_ * 2 : 4096;
            if (bigger > limit_) bigger = limit_;
            auto* const fresh = static_cast<char*>(detail::allocate(memory_, bigger, 1));
            if (!fresh) return errc::no_memory;
            if (end_ != 0) std::memcpy(fresh, data_, end_);
            detail::release(memory_, data_, room_, 1);
            data_ = fresh;
            room_ = bigger;
        }
    }
    SPRUCE_TRY(std::size_t n, stream_.read_on(std::span<char>(data_ + end_, room_ - end_), dl));
    end_ += n;
    return {};
}

std::string_view reader::take(std::size_t n) noexcept {
    std::string_view const given(data_ + begin_, n);
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;   // the view stays where it is until the next call
    return given;
}

result<std::string_view> reader::read_exactly(std::size_t n, deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(begin());
    if (n > limit_) return errc::too_long;
    if (n == 0) return std::string_view{};
    while (end_ - begin_ < n) SPRUCE_CHECK(fill(dl));
    return take(n);
}

result<std::string_view> reader::read_some(deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(begin());
    if (begin_ == end_) SPRUCE_CHECK(fill(dl));
    return take(end_ - begin_);
}

result<std::string_view> reader::read_until(std::initializer_list<std::string_view> delimiters, deadline dl) {
    detail::counted_call const counted;
    SPRUCE_CHECK(begin());
    if (delimiters.size() == 0) return detail::with_detail(errc::invalid_argument, "delimiters: none");
    std::size_t longest = 0;
    for (std::string_view const d : delimiters) {
        if (d.empty()) return detail::with_detail(errc::invalid_argument, "delimiters: an empty one");
        longest = d.size() > longest ? d.size() : longest;
    }
    for (std::size_t searched = 0;;) {
        std::string_view const there = buffered();
        std::size_t first = std::string_view::npos;
        for (std::string_view const d : delimiters) {
            std::size_t const at = there.find(d, searched);
            if (at != std::string_view::npos && at + d.size() < first) first = at + d.size();
        }
        if (first != std::string_view::npos) return take(first);
        // The next look begins where a delimiter that is half here may have begun.
        searched = there.size() >= longest ? there.size() - longest + 1 : 0;
        if (there.size() >= limit_) return errc::too_long;
        SPRUCE_CHECK(fill(dl));
    }
}

result<std::string_view> reader::read_line(deadline dl) {
    auto line = read_until({"\n"}, dl);
    if (!line) {
        if (line == error(errc::end_of_stream) && begin_ != end_) return take(end_ - begin_);
        return line;
    }
    line->remove_suffix(1);
    if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
    return line;
}

}}  // namespace spruce::v0
