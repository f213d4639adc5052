// Records between the structs of ledger.h and the bytes of docs/formats/ledger.md, "Record".
// Thread: any. Bytes that are decoded may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::ledger {

// Every record starts with its own length, these bytes included.
inline constexpr std::size_t kRecordLengthBytes = 4;
inline constexpr std::uint64_t kRecordBytesMax = 1ULL << 30;

// Replaces `out` by the record.
void encodeRecord(const CommitRecord& record, Bytes& out);
// One record that holds those of the group, whole.
void encodeRecord(std::span<const CommitRecord> group, Bytes& out);
void encodeRecord(const NamespaceDeletion& deletion, Bytes& out);
void encodeRecord(const UndoRecord& undo, Bytes& out);
void encodeRecord(const RestoreRequest& request, Bytes& out);

// The whole length of the record that `bytes` begin with; nullopt if they are too few to tell.
// kCorrupt if no record has such a length.
Result<std::optional<std::uint64_t>> recordLength(BytesView bytes);

// Whether a record is a group: then it consists of others, which are looked at one by one.
bool isGroup(BytesView record);
// The records of a group. Borrows.
Result<std::vector<BytesView>> membersOf(BytesView group, Position end);

using RecoveredRecord = std::variant<RecoveredCommit, NamespaceDeletion, RecoveredUndo, RestoreRequest>;
// What a record says. Borrows from `record`, which is exactly one record, no group, and ends at `end`.
Result<RecoveredRecord> decodeRecord(BytesView record, Position end);
// The object that a record is about, without decoding it; nullopt: not one object, or no record.
std::optional<ObjectKey> objectOf(BytesView record);
// Decodes and hands over.
Result<void> replayRecord(BytesView record, Position end, Replayer& replayer);

class ReplayingSink final : public RecordSink {
 public:
  explicit ReplayingSink(Replayer& replayer) : replayer_(replayer) {}
  Result<void> onRecord(BytesView record, Position end, WallMs) override {
    return replayRecord(record, end, replayer_);
  }

 private:
  Replayer& replayer_;
};

}  // namespace hf::ledger
