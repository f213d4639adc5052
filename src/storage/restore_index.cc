#include "storage/restore_index.h"

#include <algorithm>

#include "ledger/wire.h"
#include "storage/checked_file.h"

namespace hf::storage {
namespace {

constexpr char kName[] = "restores";
constexpr std::string_view kMagic = "HRESTOR1";

}  // namespace

void RestoreIndex::apply(const ledger::RestoreRequest& request) {
  const std::lock_guard lock(mutex_);
  if (request.to) {
    entries_[request.object] = request;
  } else if (entries_.erase(request.object) == 0) {
    return;
  }
  version_++;
}

void RestoreIndex::removeNamespace(const NamespaceId& ns) {
  const std::lock_guard lock(mutex_);
  if (std::erase_if(entries_, [&](const auto& entry) { return entry.first.ns == ns; }) > 0) version_++;
}

std::optional<ledger::RestoreRequest> RestoreIndex::find(const ObjectKey& object) const {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return std::nullopt;
  const auto it = entries_.find(object);
  return it == entries_.end() ? std::nullopt : std::optional(it->second);
}

Result<void> RestoreIndex::load(Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + kName;
  HF_TRY(const std::optional<Bytes> bytes, readCheckedFile(disk, path, kMagic));
  if (!bytes) return {};
  const std::lock_guard lock(mutex_);
  ledger::WireReader reader(*bytes);
  for (std::uint64_t left = reader.varint(); left > 0 && reader.ok(); left--) {
    ObjectKey object;
    const BytesView ns = reader.bytes(object.ns.bytes.size());
    const BytesView id = reader.bytes(object.id.bytes.size());
    const ledger::Position to{reader.varint()};
    const std::uint8_t isUndo = reader.byte();
    if (!reader.ok()) break;
    std::ranges::copy(ns, object.ns.bytes.begin());
    std::ranges::copy(id, object.id.bytes.begin());
    entries_[object] = {.object = object, .to = to, .isUndo = isUndo != 0};
  }
  if (!reader.ok() || reader.left() > 0) {
    return fail(Errc::kCorrupt, path + ": it passes its checksum but cannot be decoded");
  }
  return {};
}

std::optional<RestoreIndex::Encoded> RestoreIndex::encode() const {
  const std::lock_guard lock(mutex_);
  if (version_ == savedVersion_) return std::nullopt;
  Encoded encoded{.bytes = {}, .version = version_};
  ledger::putVarint(encoded.bytes, entries_.size());
  for (const auto& [object, request] : entries_) {
    ledger::putBytes(encoded.bytes, object.ns.bytes);
    ledger::putBytes(encoded.bytes, object.id.bytes);
    ledger::putVarint(encoded.bytes, request.to->value);
    encoded.bytes.push_back(request.isUndo ? 1 : 0);
  }
  return encoded;
}

Result<void> RestoreIndex::save(Disk& disk, const std::string& directory, const Encoded& encoded) {
  HF_TRY_VOID(writeCheckedFile(disk, directory, kName, kMagic, encoded.bytes));
  const std::lock_guard lock(mutex_);
  savedVersion_ = encoded.version;
  return {};
}

}  // namespace hf::storage
