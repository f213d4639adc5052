#include "server/tar.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace hf::server {
namespace {

struct Field {
  std::size_t at = 0;
  std::size_t bytes = 0;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kCheck{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kMagic{257, 8};
constexpr Field kPrefix{345, 155};
constexpr std::string_view kUstar("ustar\00000", 8);

// Octal digits and a zero; a number that does not fit, as GNU tar writes it: big-endian with the highest bit set.
void putNumber(Bytes& block, Field field, std::uint64_t value) {
  if (value < (1ULL << (3 * (field.bytes - 1)))) {
    std::array<char, 24> digits{};
    std::snprintf(digits.data(), digits.size(), "%0*llo", static_cast<int>(field.bytes - 1),
                  static_cast<unsigned long long>(value));
    std::memcpy(block.data() + field.at, digits.data(), field.bytes);
    return;
  }
  for (std::size_t i = 0; i < field.bytes; i++) {
    const std::size_t shift = 8 * (field.bytes - 1 - i);
    block[field.at + i] = shift < 64 ? static_cast<std::uint8_t>(value >> shift) : std::uint8_t{0};
  }
  block[field.at] |= 0x80;
}

std::optional<std::uint64_t> takeNumber(BytesView block, Field field) {
  const BytesView in = block.subspan(field.at, field.bytes);
  std::uint64_t value = 0;
  if ((in[0] & 0x80) != 0) {
    for (std::size_t i = 1; i < in.size(); i++) {
      if (value > (UINT64_MAX >> 8)) return std::nullopt;
      value = (value << 8) | in[i];
    }
    return value;
  }
  for (const std::uint8_t c : in) {
    if (c == 0 || c == ' ') break;
    if (c < '0' || c > '7') return std::nullopt;
    value = (value << 3) | static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string takeText(BytesView block, Field field) {
  const std::string_view text = asText(block.subspan(field.at, field.bytes));
  return std::string(text.substr(0, text.find('\0')));
}

// Of the header, its own field taken as blanks.
std::uint64_t sumOf(BytesView block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); i++) {
    sum += i >= kCheck.at && i < kCheck.at + kCheck.bytes ? ' ' : block[i];
  }
  return sum;
}

}  // namespace

Result<Bytes> tarHeader(const std::string& name, std::uint64_t bytes) {
  // The last slash that leaves a name that fits behind it.
  std::size_t split = 0;
  if (name.size() > kName.bytes) {
    split = name.find('/', name.size() - kName.bytes - 1);
    if (split == std::string::npos || split > kPrefix.bytes || split + 1 == name.size()) {
      return fail(Errc::kInvalidArgument, "the name is too long for an archive: " + name);
    }
  }
  Bytes block(kTarBlockBytes, 0);
  const std::string_view rest = split == 0 ? std::string_view(name) : std::string_view(name).substr(split + 1);
  std::memcpy(block.data() + kName.at, rest.data(), rest.size());
  if (split > 0) std::memcpy(block.data() + kPrefix.at, name.data(), split);
  putNumber(block, kMode, 0600);
  putNumber(block, kUid, 0);
  putNumber(block, kGid, 0);
  putNumber(block, kSize, bytes);
  putNumber(block, kTime, 0);
  block[kType] = '0';
  std::memcpy(block.data() + kMagic.at, kUstar.data(), kUstar.size());
  putNumber(block, {kCheck.at, kCheck.bytes - 1}, sumOf(block));
  block[kCheck.at + kCheck.bytes - 1] = ' ';
  return block;
}

Result<void> TarReader::takeHeader() {
  if (std::ranges::all_of(block_, [](std::uint8_t byte) { return byte == 0; })) {
    isComplete_ = true;
    return {};
  }
  const std::optional<std::uint64_t> check = takeNumber(block_, kCheck);
  const std::optional<std::uint64_t> bytes = takeNumber(block_, kSize);
  if (!check || *check != sumOf(block_) || !bytes || block_[kType] != '0') {
    return fail(Errc::kCorrupt, "the backup's archive is damaged or not one of Holdfast's");
  }
  const std::string prefix = takeText(block_, kPrefix);
  const std::string name = (prefix.empty() ? "" : prefix + "/") + takeText(block_, kName);
  if (!isBackupName(name)) return fail(Errc::kCorrupt, "the backup's archive names a file '" + name + "'");
  HF_TRY_VOID(sink_.begin(name, *bytes));
  left_ = *bytes;
  padding_ = tarPadding(*bytes);
  isInFile_ = true;
  return {};
}

Result<void> TarReader::feed(BytesView bytes) {
  while (true) {
    if (isInFile_ && left_ == 0) {
      HF_TRY_VOID(sink_.end());
      isInFile_ = false;
    }
    if (bytes.empty() || isComplete_) return {};
    if (isInFile_) {
      const BytesView part = bytes.first(std::min<std::uint64_t>(left_, bytes.size()));
      HF_TRY_VOID(sink_.write(part));
      left_ -= part.size();
      bytes = bytes.subspan(part.size());
    } else if (padding_ > 0) {
      const std::size_t passed = std::min(padding_, bytes.size());
      padding_ -= passed;
      bytes = bytes.subspan(passed);
    } else {
      const std::size_t taken = std::min(kTarBlockBytes - block_.size(), bytes.size());
      block_.insert(block_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
      bytes = bytes.subspan(taken);
      if (block_.size() < kTarBlockBytes) continue;
      HF_TRY_VOID(takeHeader());
      block_.clear();
    }
  }
}

}  // namespace hf::server
