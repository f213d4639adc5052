#include "storage/alarm_index.h"

// Inline: no library is linked.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

namespace hf::storage {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'H', 'F', 'A', 'L', 'A', 'R', 'M', '1'};
constexpr std::size_t kFixedBytes = 16 + 32 + 8 + 4;

std::string fileName(const std::string& directory) { return directory + "/alarms"; }

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
  const std::string path = fileName(directory);
  HF_TRY(const bool exists, disk.exists(path));
  if (!exists) return {};
  HF_TRY(const std::unique_ptr<File> file, disk.open(path, OpenMode::kRead));
  HF_TRY(const std::uint64_t size, file->size());
  Bytes bytes(size);
  HF_TRY(const std::size_t read, file->readAt(0, bytes));
  const auto corrupt = [&](const char* why) { return fail(Errc::kCorrupt, path + ": " + why); };
  if (read != size || size < kMagic.size() + 16) return corrupt("too short");
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return corrupt("not a file of alarms");
  BytesView in = BytesView(bytes).subspan(kMagic.size());
  BytesView tail = in.last(8);
  in = in.first(in.size() - 8);
  if (takeNumber<std::uint64_t>(tail) != XXH3_64bits(in.data(), in.size())) return corrupt("the checksum is wrong");

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
  Encoded encoded{.bytes = Bytes(kMagic.begin(), kMagic.end()), .version = version_};
  Bytes& out = encoded.bytes;
  putNumber<std::uint64_t>(out, entries_.size());
  for (const auto& [object, entry] : entries_) {
    out.insert(out.end(), object.ns.bytes.begin(), object.ns.bytes.end());
    out.insert(out.end(), object.id.bytes.begin(), object.id.bytes.end());
    putNumber<WallMs>(out, entry.at);
    putNumber<std::uint32_t>(out, static_cast<std::uint32_t>(entry.name.size()));
    out.insert(out.end(), entry.name.begin(), entry.name.end());
  }
  putNumber<std::uint64_t>(out, XXH3_64bits(out.data() + kMagic.size(), out.size() - kMagic.size()));
  return encoded;
}

Result<void> AlarmIndex::write(Disk& disk, const std::string& directory, const Bytes& bytes) {
  const std::string path = fileName(directory);
  const std::string next = path + ".new";
  {
    HF_TRY(const std::unique_ptr<File> file, disk.open(next, OpenMode::kCreate));
    HF_TRY_VOID(file->truncate(0));
    const BytesView part = bytes;
    HF_TRY_VOID(file->writeAt(0, std::span(&part, 1)));
    HF_TRY_VOID(file->sync());
  }
  HF_TRY_VOID(disk.rename(next, path));
  return disk.syncDirectory(directory);
}

void AlarmIndex::saved(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  savedVersion_ = version;
}

}  // namespace hf::storage
