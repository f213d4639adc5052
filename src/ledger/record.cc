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

enum class RecordKind : std::uint8_t {
  kCommit = 1,
  kNamespaceDeletion = 2,
  kUndo = 3,
  kRestoreRequest = 4,
  kGroup = 5
};

// Flags of a commit.
constexpr std::uint8_t kReset = 1;
constexpr std::uint8_t kAlarmChanged = 2;
constexpr std::uint8_t kAlarmSet = 4;
constexpr std::uint8_t kEndsRestore = 8;
constexpr std::uint8_t kKnownFlags = kReset | kAlarmChanged | kAlarmSet | kEndsRestore;

// Where a restore request leads.
constexpr std::uint8_t kNowhere = 0;
constexpr std::uint8_t kPosition = 1;
constexpr std::uint8_t kBeforeRestoration = 2;

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

void putObject(const ObjectKey& object, Bytes& out) {
  putBytes(out, object.ns.bytes);
  putBytes(out, object.id.bytes);
}

void readObject(WireReader& reader, ObjectKey& object) {
  const BytesView ns = reader.bytes(object.ns.bytes.size());
  const BytesView id = reader.bytes(object.id.bytes.size());
  if (!reader.ok()) return;
  std::ranges::copy(ns, object.ns.bytes.begin());
  std::ranges::copy(id, object.id.bytes.begin());
}

bool readPages(WireReader& reader, std::vector<RecoveredPage>& pages) {
  const std::uint64_t count = reader.varint();
  if (!reader.ok() || count > reader.left() / kPageEntryBytesMin) return false;
  pages.reserve(count);
  for (std::uint64_t i = 0; i < count && reader.ok(); i++) {
    pages.push_back(readPage(reader));
    if (pages.back().number == 0 || pages.back().encoding > kPageEncodingLast) return false;
  }
  return reader.ok();
}

bool readCommit(WireReader& reader, RecoveredCommit& commit) {
  const std::uint8_t flags = reader.byte();
  readObject(reader, commit.object);
  if (!reader.ok() || (flags & ~kKnownFlags) != 0) return false;
  commit.reset = (flags & kReset) != 0;
  commit.endsRestore = (flags & kEndsRestore) != 0;
  commit.transaction = reader.varint();
  commit.pageCount = static_cast<std::uint32_t>(reader.varintUpTo(kPageNumberMax));
  if ((flags & kAlarmChanged) != 0) {
    AlarmChange& alarm = commit.alarm.emplace();
    if ((flags & kAlarmSet) != 0) alarm.at = unzigzag(reader.varint());
    alarm.objectName = asText(reader.bytes(reader.varint()));
  }
  return readPages(reader, commit.pages);
}

bool readUndo(WireReader& reader, RecoveredUndo& undo) {
  readObject(reader, undo.object);
  undo.from = Position{reader.varint()};
  undo.filePages = static_cast<std::uint32_t>(reader.varintUpTo(kPageNumberMax));
  return readPages(reader, undo.pages) && std::ranges::all_of(undo.pages, &RecoveredPage::isWhole);
}

bool readRestoreRequest(WireReader& reader, RestoreRequest& request) {
  readObject(reader, request.object);
  const std::uint8_t target = reader.byte();
  if (target != kNowhere) request.to = Position{reader.varint()};
  request.isUndo = target == kBeforeRestoration;
  return reader.ok() && target <= kBeforeRestoration;
}

}  // namespace

void encodeRecord(const CommitRecord& record, Bytes& out) {
  beginRecord(RecordKind::kCommit, out);
  std::uint8_t flags = 0;
  if (record.reset) flags |= kReset;
  if (record.alarm) flags |= kAlarmChanged;
  if (record.alarm && record.alarm->at) flags |= kAlarmSet;
  if (record.endsRestore) flags |= kEndsRestore;
  out.push_back(flags);
  putObject(record.object, out);
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

void encodeRecord(std::span<const CommitRecord> group, Bytes& out) {
  HF_CHECK(!group.empty(), "a group has members");
  beginRecord(RecordKind::kGroup, out);
  putVarint(out, group.size());
  Bytes member;
  for (const CommitRecord& record : group) {
    encodeRecord(record, member);
    putBytes(out, member);
  }
  endRecord(out);
}

void encodeRecord(const NamespaceDeletion& deletion, Bytes& out) {
  beginRecord(RecordKind::kNamespaceDeletion, out);
  putBytes(out, deletion.ns.bytes);
  endRecord(out);
}

void encodeRecord(const UndoRecord& undo, Bytes& out) {
  beginRecord(RecordKind::kUndo, out);
  putObject(undo.object, out);
  putVarint(out, undo.from.value);
  putVarint(out, undo.filePages);
  putVarint(out, undo.pages.size());
  for (const PageImage& page : undo.pages) {
    HF_CHECK(page.previous.empty(), "undo images stand alone");
    encodePage(page, out);
  }
  endRecord(out);
}

void encodeRecord(const RestoreRequest& request, Bytes& out) {
  beginRecord(RecordKind::kRestoreRequest, out);
  putObject(request.object, out);
  out.push_back(!request.to ? kNowhere : request.isUndo ? kBeforeRestoration : kPosition);
  if (request.to) putVarint(out, request.to->value);
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

bool isGroup(BytesView record) {
  return record.size() > kRecordLengthBytes &&
         static_cast<RecordKind>(record[kRecordLengthBytes]) == RecordKind::kGroup;
}

Result<std::vector<BytesView>> membersOf(BytesView group, Position end) {
  WireReader reader(group);
  if (reader.fixed32() != group.size() || static_cast<RecordKind>(reader.byte()) != RecordKind::kGroup) {
    return malformed(end);
  }
  const std::uint64_t slot = reader.varint();
  const std::uint64_t epoch = reader.varint();
  const std::uint64_t count = reader.varint();
  if (!reader.ok() || slot != 0 || epoch != 0 || count == 0) return malformed(end);
  std::vector<BytesView> members;
  while (reader.ok() && reader.left() > 0) {
    const Result<std::optional<std::uint64_t>> length = recordLength(reader.rest());
    if (!length || !*length) return malformed(end);
    members.push_back(reader.bytes(**length));
    if (isGroup(members.back())) return malformed(end);
  }
  if (!reader.ok() || members.size() != count) return malformed(end);
  return members;
}

Result<RecoveredRecord> decodeRecord(BytesView record, Position end) {
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
  switch (kind) {
    case RecordKind::kCommit: {
      RecoveredCommit commit;
      commit.end = end;
      if (!readCommit(reader, commit) || reader.left() != 0) return malformed(end);
      return commit;
    }
    case RecordKind::kNamespaceDeletion: {
      NamespaceDeletion deletion;
      const BytesView ns = reader.bytes(deletion.ns.bytes.size());
      if (!reader.ok() || reader.left() != 0) return malformed(end);
      std::ranges::copy(ns, deletion.ns.bytes.begin());
      return deletion;
    }
    case RecordKind::kUndo: {
      RecoveredUndo undo;
      undo.end = end;
      if (!readUndo(reader, undo) || reader.left() != 0) return malformed(end);
      return undo;
    }
    case RecordKind::kRestoreRequest: {
      RestoreRequest request;
      if (!readRestoreRequest(reader, request) || reader.left() != 0) return malformed(end);
      return request;
    }
    case RecordKind::kGroup:
      return malformed(end);  // its members are handed over one by one
  }
  return fail(Errc::kUnsupported, "a record of a kind that this version does not know (" +
                                      std::to_string(static_cast<unsigned>(kind)) + ")");
}

std::optional<ObjectKey> objectOf(BytesView record) {
  WireReader reader(record);
  reader.fixed32();
  const auto kind = static_cast<RecordKind>(reader.byte());
  reader.varint();
  reader.varint();
  if (kind == RecordKind::kCommit) reader.byte();
  if (kind != RecordKind::kCommit && kind != RecordKind::kUndo && kind != RecordKind::kRestoreRequest) {
    return std::nullopt;
  }
  ObjectKey object;
  readObject(reader, object);
  return reader.ok() ? std::optional(object) : std::nullopt;
}

Result<void> replayRecord(BytesView record, Position end, Replayer& replayer) {
  struct Hand {
    Replayer& replayer;
    Position end;
    Result<void> operator()(const RecoveredCommit& commit) const { return replayer.onCommit(commit); }
    Result<void> operator()(const NamespaceDeletion& deletion) const {
      return replayer.onNamespaceDeleted(deletion, end);
    }
    Result<void> operator()(const RecoveredUndo& undo) const { return replayer.onUndo(undo); }
    Result<void> operator()(const RestoreRequest& request) const { return replayer.onRestoreRequest(request); }
  };
  HF_TRY(const RecoveredRecord decoded, decodeRecord(record, end));
  return std::visit(Hand{replayer, end}, decoded);
}

}  // namespace hf::ledger
