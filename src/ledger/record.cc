#include "ledger/record.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"
#include "ledger/page_codec.h"
#include "ledger/wire.h"

namespace hf::ledger {
namespace {

enum class RecordKind : std::uint8_t { kCommit = 1, kNamespaceDeletion = 2 };

// Flags of a commit.
constexpr std::uint8_t kReset = 1;
constexpr std::uint8_t kAlarmChanged = 2;
constexpr std::uint8_t kAlarmSet = 4;
constexpr std::uint8_t kKnownFlags = kReset | kAlarmChanged | kAlarmSet;

constexpr std::uint64_t kPageNumberMax = std::numeric_limits<std::uint32_t>::max();
// Number, encoding, check and an empty payload.
constexpr std::size_t kPageEntryBytesMin = 1 + 1 + 4 + 1;

void beginRecord(RecordKind kind, Bytes& out) {
  out.clear();
  putFixed32(out, 0);
  out.push_back(static_cast<std::uint8_t>(kind));
  // Slot and epoch: a node that shares its objects with others has more than one; this one owns slot 0 for ever.
  putVarint(out, 0);
  putVarint(out, 0);
}

void endRecord(Bytes& out) {
  // A record that is too long for this field is refused by append, which looks at its size.
  const auto length = static_cast<std::uint32_t>(out.size());
  std::memcpy(out.data(), &length, sizeof length);
}

std::unexpected<Error> malformed(Position end) {
  return fail(Errc::kCorrupt, "the record that ends at position " + std::to_string(end.value) +
                                  " passes its checksum but cannot be decoded");
}

RecoveredPage readPage(WireReader& reader) {
  RecoveredPage page;
  page.number = static_cast<std::uint32_t>(reader.varintUpTo(kPageNumberMax));
  page.encoding = reader.byte();
  page.isWhole = page.encoding <= kPageEncodingLast && isWhole(static_cast<PageEncoding>(page.encoding));
  page.check = reader.fixed32();
  page.encoded = reader.bytes(reader.varintUpTo(kPageBytes));
  return page;
}

bool readCommit(WireReader& reader, RecoveredCommit& commit) {
  const std::uint8_t flags = reader.byte();
  const BytesView ns = reader.bytes(commit.object.ns.bytes.size());
  const BytesView id = reader.bytes(commit.object.id.bytes.size());
  if (!reader.ok() || (flags & ~kKnownFlags) != 0) return false;
  std::ranges::copy(ns, commit.object.ns.bytes.begin());
  std::ranges::copy(id, commit.object.id.bytes.begin());
  commit.reset = (flags & kReset) != 0;
  commit.transaction = reader.varint();
  commit.pageCount = static_cast<std::uint32_t>(reader.varintUpTo(kPageNumberMax));
  if ((flags & kAlarmChanged) != 0) {
    AlarmChange& alarm = commit.alarm.emplace();
    if ((flags & kAlarmSet) != 0) alarm.at = unzigzag(reader.varint());
    alarm.objectName = asText(reader.bytes(reader.varint()));
  }
  const std::uint64_t pages = reader.varint();
  if (!reader.ok() || pages > reader.left() / kPageEntryBytesMin) return false;
  commit.pages.reserve(pages);
  for (std::uint64_t i = 0; i < pages && reader.ok(); i++) {
    commit.pages.push_back(readPage(reader));
    if (commit.pages.back().number == 0 || commit.pages.back().encoding > kPageEncodingLast) return false;
  }
  return reader.ok();
}

}  // namespace

void encodeRecord(const CommitRecord& record, Bytes& out) {
  beginRecord(RecordKind::kCommit, out);
  std::uint8_t flags = 0;
  if (record.reset) flags |= kReset;
  if (record.alarm) flags |= kAlarmChanged;
  if (record.alarm && record.alarm->at) flags |= kAlarmSet;
  out.push_back(flags);
  putBytes(out, record.object.ns.bytes);
  putBytes(out, record.object.id.bytes);
  putVarint(out, record.transaction);
  putVarint(out, record.pageCount);
  if (record.alarm) {
    if (record.alarm->at) putVarint(out, zigzag(*record.alarm->at));
    putVarint(out, record.alarm->objectName.size());
    putBytes(out, asBytes(record.alarm->objectName));
  }
  putVarint(out, record.pages.size());
  for (const PageImage& page : record.pages) encodePage(page, out);
  endRecord(out);
}

void encodeRecord(const NamespaceDeletion& deletion, Bytes& out) {
  beginRecord(RecordKind::kNamespaceDeletion, out);
  putBytes(out, deletion.ns.bytes);
  endRecord(out);
}

Result<std::optional<std::uint64_t>> recordLength(BytesView bytes) {
  if (bytes.size() < kRecordLengthBytes) return std::optional<std::uint64_t>();
  WireReader reader(bytes);
  const std::uint64_t length = reader.fixed32();
  if (length <= kRecordLengthBytes || length > kRecordBytesMax) {
    return fail(Errc::kCorrupt, "a record says that it is " + std::to_string(length) + " bytes long");
  }
  return std::optional<std::uint64_t>(length);
}

Result<std::variant<RecoveredCommit, NamespaceDeletion>> decodeRecord(BytesView record, Position end) {
  WireReader reader(record);
  if (reader.fixed32() != record.size()) return malformed(end);
  const auto kind = static_cast<RecordKind>(reader.byte());
  const std::uint64_t slot = reader.varint();
  const std::uint64_t epoch = reader.varint();
  if (!reader.ok()) return malformed(end);
  if (slot != 0 || epoch != 0) {
    return fail(Errc::kUnsupported, "a record of slot " + std::to_string(slot) + ", epoch " + std::to_string(epoch) +
                                        ": this version knows no slots");
  }
  if (kind == RecordKind::kCommit) {
    RecoveredCommit commit;
    commit.end = end;
    if (!readCommit(reader, commit) || reader.left() != 0) return malformed(end);
    return commit;
  }
  if (kind == RecordKind::kNamespaceDeletion) {
    NamespaceDeletion deletion;
    const BytesView ns = reader.bytes(deletion.ns.bytes.size());
    if (!reader.ok() || reader.left() != 0) return malformed(end);
    std::ranges::copy(ns, deletion.ns.bytes.begin());
    return deletion;
  }
  return fail(Errc::kUnsupported, "a record of a kind that this version does not know (" +
                                      std::to_string(static_cast<unsigned>(kind)) + ")");
}

}  // namespace hf::ledger
