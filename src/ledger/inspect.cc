#include "ledger/inspect.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "ledger/format.h"
#include "ledger/record.h"
#include "ledger/recovery.h"

namespace hf::ledger {
namespace {

bool isDamage(const Error& error) { return error.code == Errc::kCorrupt || error.code == Errc::kUnsupported; }

std::string withoutPrefix(std::string message) {
  constexpr std::string_view kPrefix = "ledger: ";
  if (message.starts_with(kPrefix)) message.erase(0, kPrefix.size());
  return message;
}

// Recovery is content with one of the two; whoever asks wants to know.
Result<void> checkHeaderCopies(const LiveLedger::Segment& segment, std::vector<Finding>& findings) {
  Bytes bytes(kSegmentDataStart);
  HF_TRY(const std::size_t got, segment.file->file->readAt(0, bytes));
  bytes.resize(got);
  for (const std::uint64_t at : {std::uint64_t{0}, kBlockBytes}) {
    const auto copy = at < bytes.size() ? unseal<SegmentHeader>(BytesView(bytes).subspan(at)) : std::nullopt;
    if (copy && copy->sequence == segment.header.sequence) continue;
    findings.push_back({.file = segment.file->path,
                        .offset = at,
                        .what = "this copy of the segment's header is damaged; the other one is whole"});
  }
  return {};
}

Result<void> scanAll(LiveLedger& live, SegmentScanner& scanner) {
  for (LiveLedger::Segment& segment : live.live) HF_TRY_VOID(scanner.scan(*segment.file, segment.header));
  return scanner.finish();
}

}  // namespace

Result<Inspection> inspectLedger(Disk& disk, const std::string& directory, Replayer& replayer, ScanObserver* observer) {
  Inspection found;
  Result<LiveLedger> live = readLive(disk, directory);
  if (!live) {
    if (!isDamage(live.error())) return std::unexpected(std::move(live).error());
    found.findings.push_back({.file = directory, .offset = {}, .what = withoutPrefix(live.error().message)});
    return found;
  }
  found.retired = Position{live->mark.retired};
  found.segments = live->live.size();
  found.spareSegments = live->spares;
  for (const LiveLedger::Segment& segment : live->live) HF_TRY_VOID(checkHeaderCopies(segment, found.findings));

  ReplayingSink sink(replayer);
  SegmentScanner scanner(live->mark.retired, sink, std::numeric_limits<std::uint64_t>::max(), observer);
  if (Result<void> scanned = scanAll(*live, scanner); !scanned) {
    if (!isDamage(scanned.error())) return std::unexpected(std::move(scanned).error());
    const SegmentFile* at = scanner.segment();
    found.findings.push_back({.file = at == nullptr ? directory : at->path,
                              .offset = at == nullptr ? std::nullopt : std::optional(scanner.offset()),
                              .what = withoutPrefix(scanned.error().message)});
  }
  if (found.findings.empty()) {
    if (const Result<void> known = checkAgainstMark(live->mark, live->lastSequence, scanner); !known) {
      found.findings.push_back({.file = directory, .offset = {}, .what = withoutPrefix(known.error().message)});
    }
  }
  found.tail = Position{std::max(scanner.tail(), live->mark.retired)};
  found.report = scanner.report();
  return found;
}

}  // namespace hf::ledger
