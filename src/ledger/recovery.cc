#include "ledger/recovery.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <ranges>
#include <utility>

#include "base/check.h"
#include "ledger/record.h"
#include "ledger/segment_scanner.h"

namespace hf::ledger {
namespace {

struct Found {
  std::unique_ptr<SegmentFile> file;
  std::optional<SegmentHeader> header;  // nullopt: never used, or torn when it was about to be
};

std::unexpected<Error> otherVersion(const std::string& path, std::uint32_t version) {
  return fail(Errc::kUnsupported,
              "ledger: " + path + " is of format " + std::to_string(version) + ", this Holdfast reads format " +
                  std::to_string(kFormatVersion) +
                  ". Nothing was changed. Start and stop the Holdfast that wrote it once, so that its files are "
                  "complete, and import them with `holdfast object import` into a new directory.");
}

Result<Mark> readMark(Disk& disk, const std::string& path) {
  HF_TRY(const auto file, disk.open(path, OpenMode::kRead));
  std::array<std::uint8_t, sizeof(Mark)> bytes{};
  HF_TRY(const std::size_t got, file->readAt(0, bytes));
  const std::optional<Mark> mark = unseal<Mark>(BytesView(bytes).first(got));
  if (mark && mark->version == kFormatVersion) return *mark;
  if (mark) return otherVersion(path, mark->version);
  // Version 1 was 16 bytes shorter.
  constexpr std::size_t kVersion1Bytes = 48;
  Mark old;
  std::memcpy(&old, bytes.data(), sizeof old);
  if (got == kVersion1Bytes && old.magic == Mark::kMagic && old.version == 1) return otherVersion(path, 1);
  return fail(Errc::kCorrupt, "ledger: " + path + " is damaged at offset 0");
}

// The newer of the two copies: the other may be damaged, or of the file's use before.
Result<std::optional<SegmentHeader>> readHeader(SegmentFile& segment, const LedgerId& ledger) {
  Bytes bytes(kSegmentDataStart);
  HF_TRY(const std::size_t got, segment.file->readAt(0, bytes));
  bytes.resize(got);
  std::optional<SegmentHeader> newest;
  for (const std::uint64_t at : {std::uint64_t{0}, kBlockBytes}) {
    if (at >= bytes.size()) break;
    const std::optional<SegmentHeader> copy = unseal<SegmentHeader>(BytesView(bytes).subspan(at));
    if (copy && (!newest || copy->sequence > newest->sequence)) newest = copy;
  }
  if (newest && newest->version != kFormatVersion) return otherVersion(segment.path, newest->version);
  if (newest && newest->ledger != ledger) {
    return fail(Errc::kCorrupt, "ledger: " + segment.path + " belongs to another ledger");
  }
  return newest;
}

std::optional<std::uint64_t> segmentNumber(std::string_view name) {
  if (!name.starts_with(kSegmentPrefix)) return std::nullopt;
  name.remove_prefix(kSegmentPrefix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

Result<std::vector<Found>> openSegments(Disk& disk, const std::string& directory, const std::vector<std::string>& names,
                                        const LedgerId& ledger, OpenMode mode) {
  std::vector<Found> all;
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> number = segmentNumber(name);
    if (!number) continue;
    Found found;
    found.file = std::make_unique<SegmentFile>();
    found.file->number = *number;
    found.file->path = directory + "/" + name;
    HF_TRY(found.file->file, disk.open(found.file->path, mode));
    HF_TRY(found.file->bytes, found.file->file->size());
    HF_TRY(found.header, readHeader(*found.file, ledger));
    all.push_back(std::move(found));
  }
  std::ranges::sort(all, {}, [](const Found& f) { return f.header ? f.header->sequence : 0; });
  return all;
}

// Moves what is live from `all` to the front of the result, in order; the rest stays in `all`.
Result<std::vector<Found>> takeLive(std::vector<Found>& all, const Mark& mark) {
  const std::uint64_t retired = mark.retired;
  std::optional<std::size_t> first;
  std::optional<std::size_t> used;
  for (std::size_t i = 0; i < all.size(); i++) {
    if (!all[i].header) continue;
    if (!used) used = i;
    if (i > *used && all[i].header->sequence == all[i - 1].header->sequence) {
      return fail(Errc::kCorrupt,
                  "ledger: " + all[i].file->path + " and " + all[i - 1].file->path + " have the same sequence number");
    }
    // If nothing was live when the mark was written, what comes after it begins right there. The rest are old uses, all
    // retired, even if a new use of the file was torn so that the old header is still there before batches that are
    // not.
    if (all[i].header->start == retired || (all[i].header->start < retired && mark.sequence != 0)) first = i;
  }
  if (!used || (!first && mark.sequence == 0)) return std::vector<Found>();
  if (!first) {
    return fail(Errc::kCorrupt, "ledger: the segment that holds position " + std::to_string(retired) +
                                    " is missing; the oldest there is " + all[*used].file->path);
  }
  std::vector<Found> live;
  for (std::size_t i = *first; i < all.size(); i++) {
    if (all[i].file->bytes < all[i].header->segmentBytes) {
      return fail(Errc::kCorrupt, "ledger: " + all[i].file->path + " ends at offset " +
                                      std::to_string(all[i].file->bytes) + ", before the end that its header gives");
    }
    all[i].file->bytes = all[i].header->segmentBytes;
    live.push_back(std::move(all[i]));
  }
  all.resize(*first);
  return live;
}

// What was read may be in the page cache only: written, but not synced, by a process that was killed or whose sync
// failed. A failed sync leaves pages that look clean, so a further sync alone would say yes and write nothing.
// Only the last batch, and the header if it is the first, can be in that state (invariant 1).
Result<void> makeLastDurable(SegmentFile& segment, const SegmentHeader& header, const SegmentScanner& scanner) {
  SegmentHeader copy = header;
  Bytes block(kBlockBytes, 0);
  std::ranges::copy(objectBytes(copy), block.begin());
  const std::array<BytesView, 2> headers = {block, block};
  HF_TRY_VOID(segment.file->writeAt(0, headers));
  if (scanner.lastBatchBytes() > 0) {
    Bytes batch(scanner.lastBatchBytes());
    HF_TRY(const std::size_t got, segment.file->readAt(scanner.lastBatchOffset(), batch));
    if (got != batch.size()) return fail(Errc::kIo, "ledger: " + segment.path + " became shorter while it was read");
    const std::array<BytesView, 1> parts = {batch};
    HF_TRY_VOID(segment.file->writeAt(scanner.lastBatchOffset(), parts));
  }
  return segment.file->sync();
}

Result<Mark> findMark(Disk& disk, const LedgerOptions& options, const std::vector<std::string>& names) {
  const std::string path = options.directory + "/" + std::string(kMarkName);
  if (std::ranges::find(names, kMarkName) != names.end()) return readMark(disk, path);
  for (const std::string& name : names) {
    // The mark is made before the first segment.
    if (segmentNumber(name)) {
      return fail(Errc::kCorrupt, "ledger: " + path + " is missing, yet there is " + options.directory + "/" + name);
    }
  }
  // A start before this one may have made the directory and ended there.
  const std::string parent = std::filesystem::path(options.directory).parent_path().string();
  HF_TRY_VOID(disk.syncDirectory(parent.empty() ? "." : parent));
  Mark mark;
  options.random->fill(mark.ledger);
  HF_TRY_VOID(writeMark(disk, options.directory, mark));
  return mark;
}

}  // namespace

Result<void> checkAgainstMark(const Mark& mark, std::uint64_t lastSequence, const SegmentScanner& scanner) {
  if (lastSequence < mark.sequence) {
    return fail(Errc::kCorrupt,
                "ledger: the segment with sequence " + std::to_string(mark.sequence) + ", the newest one, is missing");
  }
  // What is left of a segment may end long before the mark when all of it is retired.
  const std::uint64_t tail = std::max(scanner.tail(), mark.retired);
  if (tail >= mark.durable) return {};
  return fail(Errc::kCorrupt, "ledger: damaged record in " + scanner.place() + ": the ledger ends at position " +
                                  std::to_string(tail) + ", and position " + std::to_string(mark.durable) +
                                  " had been durable");
}

Result<LiveLedger> readLive(Disk& disk, const std::string& directory) {
  LiveLedger ledger;
  HF_TRY(ledger.mark, readMark(disk, directory + "/" + std::string(kMarkName)));
  HF_TRY(const std::vector<std::string> names, disk.list(directory));
  HF_TRY(std::vector<Found> all, openSegments(disk, directory, names, ledger.mark.ledger, OpenMode::kRead));
  for (const Found& found : all) {
    if (found.header) ledger.lastSequence = std::max(ledger.lastSequence, found.header->sequence);
  }
  HF_TRY(std::vector<Found> live, takeLive(all, ledger.mark));
  for (Found& found : live) ledger.live.push_back({.file = std::move(found.file), .header = *found.header});
  ledger.spares = all.size();
  return ledger;
}

Result<void> writeMark(Disk& disk, const std::string& directory, Mark mark, Sabotage sabotage) {
  seal(mark);
  const std::string temporary = directory + "/" + std::string(kMarkTemporaryName);
  {
    HF_TRY(const auto file, disk.open(temporary, OpenMode::kCreate));
    const std::array<BytesView, 1> parts = {objectBytes(mark)};
    HF_TRY_VOID(file->writeAt(0, parts));
    if (sabotage != Sabotage::kMarkNotSynced) HF_TRY_VOID(file->sync());
  }
  HF_TRY_VOID(disk.rename(temporary, directory + "/" + std::string(kMarkName)));
  return disk.syncDirectory(directory);
}

Result<Recovered> recover(Disk& disk, const LedgerOptions& options, Replayer& replayer) {
  HF_TRY(const bool isThere, disk.exists(options.directory));
  if (!isThere) HF_TRY_VOID(disk.makeDirectories(options.directory));
  // What is there now must be there after the next power loss too: a removed segment that came back would be a second
  // one with its sequence number.
  HF_TRY_VOID(disk.syncDirectory(options.directory));
  HF_TRY(const std::vector<std::string> names, disk.list(options.directory));
  HF_TRY(const Mark mark, findMark(disk, options, names));
  HF_TRY(std::vector<Found> all, openSegments(disk, options.directory, names, mark.ledger, OpenMode::kReadWrite));

  Recovered recovered;
  recovered.id = mark.ledger;
  recovered.retired = mark.retired;
  for (const Found& found : all) {
    recovered.nextNumber = std::max(recovered.nextNumber, found.file->number + 1);
    if (found.header) recovered.lastSequence = std::max(recovered.lastSequence, found.header->sequence);
  }
  HF_TRY(std::vector<Found> live, takeLive(all, mark));

  ReplayingSink sink(replayer);
  SegmentScanner scanner(mark.retired, sink);
  scanner.sabotage(options.sabotage);
  if (options.sabotage == Sabotage::kFirstSegmentOnly && live.size() > 1) live.resize(1);
  for (Found& found : live) HF_TRY_VOID(scanner.scan(*found.file, *found.header));
  HF_TRY_VOID(scanner.finish());
  HF_TRY_VOID(checkAgainstMark(mark, recovered.lastSequence, scanner));
  recovered.tail = std::max(scanner.tail(), mark.retired);
  if (!live.empty() && options.sabotage != Sabotage::kLastBatchNotRewritten)
    HF_TRY_VOID(makeLastDurable(*live.back().file, *live.back().header, scanner));

  recovered.time = scanner.time();
  recovered.report = scanner.report();
  for (Found& found : live) recovered.live.push_back({.file = std::move(found.file), .header = *found.header});
  // A segment ends where one after it goes on, which is before its own beginning if all of it was dropped.
  std::uint64_t end = recovered.tail;
  for (LiveSegment& segment : std::views::reverse(recovered.live)) {
    segment.end = end;
    end = std::min(end, segment.header.start);
  }
  for (Found& found : all) recovered.spares.push_back(std::move(found.file));
  return recovered;
}

}  // namespace hf::ledger
