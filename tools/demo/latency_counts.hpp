// Times, counted in buckets that are each at most 1/32 wide: percentiles to 3 % in 16 KiB, however many there are.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

namespace demo {

class latency_counts {
public:
    void add(std::uint64_t ns) noexcept {
        ++counts_[index_of(ns)];
        ++total_;
    }
    // The time that this part (0 to 1) of all stayed below.
    std::uint64_t percentile(double part) const noexcept {
        auto rank = static_cast<std::uint64_t>(part * static_cast<double>(total_));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i != buckets; ++i)
            if ((seen += counts_[i]) > rank) return upper_bound(i);
        return 0;
    }
    std::uint64_t total() const noexcept { return total_; }

private:
    // Five bits behind the first one choose the bucket; times below 32 ns have one each.
    static constexpr int detail_bits = 5;
    static constexpr std::size_t buckets = (64 - detail_bits + 1) << detail_bits;
    static std::size_t index_of(std::uint64_t ns) noexcept {
        if (ns >> detail_bits == 0) return static_cast<std::size_t>(ns);
        int shift = static_cast<int>(std::bit_width(ns)) - 1 - detail_bits;
        return (static_cast<std::size_t>(shift) << detail_bits) + static_cast<std::size_t>(ns >> shift);
    }
    static std::uint64_t upper_bound(std::size_t index) noexcept {
        if (index >> detail_bits <= 1) return index + 1;
        int shift = static_cast<int>(index >> detail_bits) - 1;
        return ((index & ((1u << detail_bits) - 1)) + (1u << detail_bits) + 1) << shift;
    }

    std::uint64_t counts_[buckets] = {};
    std::uint64_t total_ = 0;
};

}  // namespace demo
