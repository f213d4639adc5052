// The readers of everything on disk, fed with anything. Run under the address sanitizer.
//   byte 0 even: one record, its pages applied.
//   byte 0 odd:  batches, put under valid checksums, in a segment that recovery reads.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "base/sim_disk.h"
#include "ledger/format.h"
#include "ledger/ledger.h"
#include "ledger/record.h"
#include "ledger/recovery.h"

namespace hf::ledger {
namespace {

class ApplyingReplayer final : public Replayer {
 public:
  Result<void> onCommit(const RecoveredCommit& commit) override {
    Bytes image(kPageBytes, 0x33);
    for (const RecoveredPage& page : commit.pages) HF_IGNORE(page.applyTo(image), "it may be refused");
    return {};
  }
  Result<void> onNamespaceDeleted(const NamespaceDeletion& deletion, Position end) override { return {}; }
  Result<void> onUndo(const RecoveredUndo& undo) override {
    Bytes image(kPageBytes, 0x33);
    for (const RecoveredPage& page : undo.pages) HF_IGNORE(page.applyTo(image), "it may be refused");
    return {};
  }
};

void readRecord(BytesView record) {
  const auto length = recordLength(record);
  if (!length || !*length) return;
  HF_IGNORE(objectOf(record), "it may be about none");
  if (const auto members = membersOf(record, Position{record.size()}); members) {
    for (const BytesView member : *members) readRecord(member);
  }
  ApplyingReplayer replayer;
  HF_IGNORE(replayRecord(record, Position{record.size()}, replayer), "it may be refused");
}

void put(File& file, std::uint64_t offset, BytesView bytes) {
  const std::array<BytesView, 1> parts = {bytes};
  HF_CHECK(file.writeAt(offset, parts).has_value(), "the simulated disk takes all");
}

// The input: per batch 4 bytes (size of the payload, first record) and the payload.
void readSegment(BytesView input) {
  SimDisk disk(1);
  LedgerOptions options;
  options.directory = "/l";
  options.segmentBytes = kSegmentBytesMin;
  HF_CHECK(disk.makeDirectories("/l").has_value(), "the simulated disk takes all");
  const LedgerId id{1};
  Mark mark;
  mark.ledger = id;
  HF_CHECK(writeMark(disk, "/l", mark).has_value(), "the simulated disk takes all");
  auto file = disk.open("/l/segment-000001", OpenMode::kCreateNew);
  HF_CHECK(file && (*file)->allocate(kSegmentBytesMin), "the simulated disk takes all");
  SegmentHeader header;
  header.ledger = id;
  header.sequence = 1;
  header.salt = 5;
  header.segmentBytes = kSegmentBytesMin;
  seal(header);
  put(**file, 0, objectBytes(header));
  std::uint64_t offset = kSegmentDataStart;
  std::uint64_t position = 0;
  while (input.size() > 4) {
    std::uint16_t count = 0;
    std::uint16_t first = 0;
    std::memcpy(&count, input.data(), 2);
    std::memcpy(&first, input.data() + 2, 2);
    input = input.subspan(4);
    const BytesView payload = input.first(std::min<std::size_t>(1 + (count % 8000), input.size()));
    input = input.subspan(payload.size());
    const std::uint64_t bytes = sizeof(BatchHeader) + payload.size();
    if (offset + alignUp(bytes) > kSegmentBytesMin) break;
    BatchHeader batch;
    batch.payloadBytes = static_cast<std::uint32_t>(payload.size());
    batch.position = position;
    batch.firstRecord = position == 0 ? 0 : first;
    batch.payloadCheck = checksum(payload, header.salt);
    seal(batch, header.salt);
    put(**file, offset, objectBytes(batch));
    put(**file, offset + sizeof batch, payload);
    offset += alignUp(bytes);
    position += payload.size();
  }
  ApplyingReplayer replayer;
  HF_IGNORE(recover(disk, options, replayer), "it may be refused");
}

}  // namespace
}  // namespace hf::ledger

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const hf::BytesView input(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    hf::ledger::readRecord(input);
  } else {
    hf::ledger::readSegment(input);
  }
  return 0;
}
