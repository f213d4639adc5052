// SendQueue: bytes on their way to a transport, in order. Empty, it owns no memory.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "net/transport.h"

namespace hf::net {

class SendQueue final {
 public:
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // All bytes ever handed to the transport.
  [[nodiscard]] std::uint64_t sentTotal() const { return sentTotal_; }

  // The buffer to append small pieces to; tell with grew() how much.
  [[nodiscard]] Bytes& tail() {
    if (parts_.empty() || parts_.back().size() > kTailBytesMax) parts_.emplace_back();
    return parts_.back();
  }
  void grew(std::size_t bytes) { bytes_ += bytes; }

  void append(Bytes data) {
    if (data.empty()) return;
    bytes_ += data.size();
    if (data.size() <= kCopyBytesMax && !parts_.empty() && parts_.back().size() <= kTailBytesMax) {
      parts_.back().insert(parts_.back().end(), data.begin(), data.end());
    } else {
      parts_.push_back(std::move(data));
    }
  }
  void append(std::string_view text) {
    Bytes& end = tail();
    end.insert(end.end(), text.begin(), text.end());
    bytes_ += text.size();
  }

  // Sends until all is gone or the transport takes no more. True: empty.
  bool flush(Transport& transport) {
    while (bytes_ > 0) {
      std::array<BytesView, kPartsPerFlush> views;
      std::size_t count = 0;
      std::size_t offered = 0;
      for (std::size_t i = first_; i < parts_.size() && count < views.size(); i++) {
        views[count] = BytesView(parts_[i]).subspan(i == first_ ? offset_ : 0);
        offered += views[count++].size();
      }
      const std::size_t taken = transport.send({views.data(), count});
      drop(taken);
      if (taken < offered) return false;
    }
    clear();
    return true;
  }

  void clear() {
    bytes_ = 0;
    first_ = 0;
    offset_ = 0;
    parts_ = {};
  }

 private:
  static constexpr std::size_t kTailBytesMax = 16 * 1024;
  static constexpr std::size_t kCopyBytesMax = 4 * 1024;
  static constexpr std::size_t kPartsPerFlush = 16;

  void drop(std::size_t sent) {
    bytes_ -= sent;
    sentTotal_ += sent;
    while (sent > 0) {
      const std::size_t left = parts_[first_].size() - offset_;
      if (sent < left) {
        offset_ += sent;
        return;
      }
      sent -= left;
      parts_[first_++] = {};
      offset_ = 0;
    }
    if (first_ > 64 && first_ * 2 > parts_.size()) {
      parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }

  std::vector<Bytes> parts_;
  std::size_t first_ = 0;   // parts before it are sent
  std::size_t offset_ = 0;  // and so much of it
  std::size_t bytes_ = 0;
  std::uint64_t sentTotal_ = 0;
};

}  // namespace hf::net
