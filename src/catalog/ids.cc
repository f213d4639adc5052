#include <array>
#include <cstdio>
#include <ctime>

#include "base/check.h"
#include "catalog/catalog.h"

namespace hf::catalog {

std::string makeTag(Random& random) {
  std::array<std::uint8_t, 16> bytes{};
  random.fill(bytes);
  return toHex(bytes);
}

std::string makeUuid(Random& random) {
  std::array<std::uint8_t, 16> bytes{};
  random.fill(bytes);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);  // RFC 4122's variant
  std::string text = toHex(bytes);
  for (const std::size_t hyphen : {20U, 16U, 12U, 8U}) text.insert(hyphen, 1, '-');
  return text;
}

NamespaceId makeNamespaceId(Random& random) {
  NamespaceId id;
  random.fill(id.bytes);
  return id;
}

std::string rfc3339(WallMs time) {
  const auto seconds = static_cast<std::time_t>(time / 1000);
  std::tm fields{};
  HF_CHECK(gmtime_r(&seconds, &fields) != nullptr, "times of a clock have a calendar date");
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z",
                                 fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday, fields.tm_hour,
                                 fields.tm_min, fields.tm_sec, static_cast<int>(time % 1000));
  HF_CHECK(size > 0, "the format is right");
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace hf::catalog
