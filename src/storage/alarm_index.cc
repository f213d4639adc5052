#include "storage/alarm_index.h"

#include <array>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "storage/checked_file.h"

namespace hf::storage {
namespace {

constexpr char kName[] = "alarms";
constexpr std::string_view kMagic = "HFALARM1";
constexpr std::size_t kFixedBytes = 16 + 32 + 8 + 4;

template <class T>
void putNumber(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); i++) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::make_unsigned_t<T>>(value) >> (8 * i)));
  }
}

template <class T>
T takeNumber(BytesView& in) {
  std::make_unsigned_t<T> value = 0;
  for (std::size_t i = 0; i < sizeof(T); i++) value |= static_cast<std::make_unsigned_t<T>>(in[i]) << (8 * i);
  in = in.subspan(sizeof(T));
  return static_cast<T>(value);
}

void takeBytes(BytesView& in, std::span<std::uint8_t> out) {
  std::memcpy(out.data(), in.data(), out.size());
  in = in.subspan(out.size());
}

}  // namespace

void AlarmIndex::apply(const ObjectKey& object, const ledger::AlarmChange& change) {
  const std::lock_guard lock(mutex_);
  if (change.at) {
    entries_[object] = {.at = *change.at, .name = change.objectName};
  } else {
    entries_.erase(object);
  }
  version_++;
}

void AlarmIndex::removeNamespace(const NamespaceId& ns) {
  const std::lock_guard lock(mutex_);
  auto it = entries_.lower_bound(ObjectKey{.ns = ns, .id = {}});
  while (it != entries_.end() && it->first.ns == ns) it = entries_.erase(it);
  version_++;
}

std::optional<WallMs> AlarmIndex::find(const ObjectKey& object) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(object);
  return it == entries_.end() ? std::nullopt : std::optional(it->second.at);
}

std::vector<ScheduledAlarm> AlarmIndex::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<ScheduledAlarm> alarms;
  alarms.reserve(entries_.size());
  for (const auto& [object, entry] : entries_) {
    alarms.push_back({.object = object, .at = entry.at, .objectName = entry.name});
  }
  return alarms;
}

std::size_t AlarmIndex::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

Result<void> AlarmIndex::load(Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + kName;
  HF_TRY(const std::optional<Bytes> content, readCheckedFile(disk, path, kMagic));
  if (!content) return {};
  const auto corrupt = [&](const char* why) { return fail(Errc::kCorrupt, path + ": " + why); };
  BytesView in = *content;
  if (in.size() < 8) return corrupt("too short");

  const std::lock_guard lock(mutex_);
  const auto count = takeNumber<std::uint64_t>(in);
  for (std::uint64_t i = 0; i < count; i++) {
    if (in.size() < kFixedBytes) return corrupt("an entry is cut off");
    ObjectKey object;
    takeBytes(in, object.ns.bytes);
    takeBytes(in, object.id.bytes);
    const auto at = takeNumber<WallMs>(in);
    const auto nameBytes = takeNumber<std::uint32_t>(in);
    if (in.size() < nameBytes) return corrupt("a name is cut off");
    entries_[object] = {.at = at, .name = std::string(asText(in.first(nameBytes)))};
    in = in.subspan(nameBytes);
  }
  if (!in.empty()) return corrupt("there is more than its entries");
  return {};
}

std::optional<AlarmIndex::Encoded> AlarmIndex::encode() const {
  const std::lock_guard lock(mutex_);
  if (version_ == savedVersion_) return std::nullopt;
  Encoded encoded{.bytes = {}, .version = version_};
  Bytes& out = encoded.bytes;
  putNumber<std::uint64_t>(out, entries_.size());
  for (const auto& [object, entry] : entries_) {
    out.insert(out.end(), object.ns.bytes.begin(), object.ns.bytes.end());
    out.insert(out.end(), object.id.bytes.begin(), object.id.bytes.end());
    putNumber<WallMs>(out, entry.at);
    putNumber<std::uint32_t>(out, static_cast<std::uint32_t>(entry.name.size()));
    out.insert(out.end(), entry.name.begin(), entry.name.end());
  }
  return encoded;
}

Result<void> AlarmIndex::save(Disk& disk, const std::string& directory, const Encoded& encoded) {
  HF_TRY_VOID(writeCheckedFile(disk, directory, kName, kMagic, encoded.bytes));
  const std::lock_guard lock(mutex_);
  savedVersion_ = encoded.version;
  return {};
}

}  // namespace hf::storage
