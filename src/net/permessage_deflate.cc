#include "net/permessage_deflate.h"

#include <zlib.h>

#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "base/check.h"

namespace hf::net {
namespace {

constexpr int kWindowBitsMax = 15;
constexpr int kWindowBitsMin = 9;  // zlib deflates with no smaller one
constexpr int kLevel = 3;          // sockets want it soon
constexpr int kMemoryLevel = 8;
constexpr std::size_t kChunkBytes = 16 * 1024;
// How each flushed block ends; it is not sent (RFC 7692 section 7.2.1).
constexpr std::array<std::uint8_t, 4> kTail{0x00, 0x00, 0xff, 0xff};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes what stands before the next `separator`.
std::string_view takeElement(std::string_view& list, char separator) {
  const std::size_t end = list.find(separator);
  const std::string_view element = trimmed(list.substr(0, end));
  list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
  return element;
}

// The value of a window parameter: 8 to 15, perhaps in quotes.
std::optional<int> windowBits(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
  int bits = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bits);
  if (error != std::errc() || end != value.data() + value.size() || value.front() == '0') return std::nullopt;
  if (bits < 8 || bits > kWindowBitsMax) return std::nullopt;
  return bits;
}

std::optional<DeflateAgreement> meet(std::string_view offer) {
  if (takeElement(offer, ';') != "permessage-deflate") return std::nullopt;
  DeflateAgreement agreement;
  std::array<bool, 4> seen{};
  while (!offer.empty()) {
    std::string_view value = takeElement(offer, ';');
    const bool hasValue = value.find('=') != std::string_view::npos;
    const std::string_view name = takeElement(value, '=');
    std::size_t which = 0;
    if (name == "server_no_context_takeover" || name == "client_no_context_takeover") {
      if (hasValue) return std::nullopt;
      which = name.front() == 's' ? 0 : 1;
    } else if (name == "server_max_window_bits") {
      which = 2;
      const std::optional<int> bits = hasValue ? windowBits(trimmed(value)) : std::nullopt;
      if (!bits || *bits < kWindowBitsMin) return std::nullopt;
      agreement.windowBits = *bits;
    } else if (name == "client_max_window_bits") {
      which = 3;  // we inflate with the largest window whatever the client's is
      if (hasValue && !windowBits(trimmed(value))) return std::nullopt;
    } else {
      return std::nullopt;
    }
    if (std::exchange(seen[which], true)) return std::nullopt;
  }
  return agreement;
}

class Deflater final {
 public:
  explicit Deflater(int bits) {
    HF_CHECK(deflateInit2(&stream_, kLevel, Z_DEFLATED, -bits, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK,
             "a stream with valid parameters can be made");
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  bool run(BytesView message, Bytes& out) {
    deflateReset(&stream_);
    const std::size_t before = out.size();
    // Room for what is shorter than the message, and for the end that is cut off.
    out.resize(before + message.size() + kTail.size());
    stream_.next_in = const_cast<Bytef*>(message.data());
    stream_.avail_in = static_cast<uInt>(message.size());
    stream_.next_out = out.data() + before;
    stream_.avail_out = static_cast<uInt>(message.size() + kTail.size());
    const int result = deflate(&stream_, Z_SYNC_FLUSH);
    const bool isShorter = result == Z_OK && stream_.avail_in == 0 && stream_.avail_out > kTail.size();
    out.resize(isShorter ? out.size() - stream_.avail_out - kTail.size() : before);
    return isShorter;
  }

 private:
  z_stream stream_{};
};

class Inflater final {
 public:
  Inflater() {
    HF_CHECK(inflateInit2(&stream_, -kWindowBitsMax) == Z_OK, "a stream with valid parameters can be made");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Inflate run(BytesView payload, std::size_t bytesMax, Bytes& out) {
    inflateReset(&stream_);
    const Inflate result = feed(payload, bytesMax, out);
    return result == Inflate::kOk ? feed(kTail, bytesMax, out) : result;
  }

 private:
  Inflate feed(BytesView input, std::size_t bytesMax, Bytes& out) {
    stream_.next_in = const_cast<Bytef*>(input.data());
    stream_.avail_in = static_cast<uInt>(input.size());
    for (;;) {
      std::array<std::uint8_t, kChunkBytes> chunk;
      stream_.next_out = chunk.data();
      stream_.avail_out = static_cast<uInt>(chunk.size());
      const int result = inflate(&stream_, Z_SYNC_FLUSH);
      const std::size_t got = chunk.size() - stream_.avail_out;
      if (out.size() + got > bytesMax) return Inflate::kTooLarge;
      out.insert(out.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got));
      // A final block may end the stream; another may follow (RFC 7692 section 7.2.3.4).
      if (result == Z_STREAM_END) {
        inflateReset(&stream_);
        if (stream_.avail_in == 0) return Inflate::kOk;
        continue;
      }
      if (result != Z_OK && result != Z_BUF_ERROR) return Inflate::kCorrupt;
      if (stream_.avail_out > 0) return stream_.avail_in == 0 ? Inflate::kOk : Inflate::kCorrupt;
    }
  }

  z_stream stream_{};
};

}  // namespace

std::optional<DeflateAgreement> negotiateDeflate(std::string_view offers) {
  while (!offers.empty()) {
    if (const auto agreement = meet(takeElement(offers, ','))) return agreement;
  }
  return std::nullopt;
}

std::string deflateAnswer(const DeflateAgreement& agreement) {
  std::string answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  if (agreement.windowBits < kWindowBitsMax) {
    answer += "; server_max_window_bits=" + std::to_string(agreement.windowBits);
  }
  return answer;
}

bool deflateMessage(BytesView message, const DeflateAgreement& agreement, Bytes& out) {
  HF_CHECK(agreement.windowBits >= kWindowBitsMin && agreement.windowBits <= kWindowBitsMax,
           "only windows that zlib has are agreed on");
  // A thread's own, made when first used: 256 KB each, which no single socket should keep.
  thread_local std::array<std::unique_ptr<Deflater>, kWindowBitsMax + 1> deflaters;
  std::unique_ptr<Deflater>& deflater = deflaters[static_cast<std::size_t>(agreement.windowBits)];
  if (deflater == nullptr) deflater = std::make_unique<Deflater>(agreement.windowBits);
  return deflater->run(message, out);
}

Inflate inflateMessage(BytesView payload, std::size_t bytesMax, Bytes& out) {
  thread_local Inflater inflater;
  return inflater.run(payload, bytesMax, out);
}

}  // namespace hf::net
