#include "storage/history.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <ranges>
#include <utility>

#include "base/check.h"
#include "ledger/block_codec.h"
#include "ledger/record.h"
#include "ledger/wire.h"
#include "storage/history_format.h"

namespace hf::storage {
namespace {

constexpr std::string_view kSuffix = ".history";
constexpr char kNewName[] = "new";

std::string fileName(std::uint64_t start, std::uint64_t end) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "%016llx-%016llx.history", static_cast<unsigned long long>(start),
                static_cast<unsigned long long>(end));
  return name.data();
}

std::unexpected<Error> damaged(const std::string& path, std::uint64_t offset, const std::string& what) {
  return fail(Errc::kCorrupt, path + ": damaged at offset " + std::to_string(offset) + ": " + what);
}

Result<Bytes> readExactly(File& file, const std::string& path, std::uint64_t offset, std::uint64_t count) {
  Bytes bytes(count);
  HF_TRY(const std::size_t got, file.readAt(offset, bytes));
  if (got != count) return damaged(path, offset + got, "it ends there");
  return bytes;
}

Result<HistoryHeader> readHeader(File& file, const std::string& path) {
  HF_TRY(const Bytes bytes, readExactly(file, path, 0, sizeof(HistoryHeader)));
  const std::optional<HistoryHeader> header = ledger::unseal<HistoryHeader>(bytes);
  if (!header) return damaged(path, 0, "no header");
  if (header->version != HistoryHeader().version) {
    return fail(Errc::kUnsupported,
                path + ": history of format " + std::to_string(header->version) + ", this Holdfast reads format 1");
  }
  return *header;
}

Result<std::vector<HistoryEntry>> readIndex(File& file, const std::string& path, const HistoryHeader& header) {
  HF_TRY(const std::uint64_t size, file.size());
  if (header.objects > size / sizeof(HistoryEntry)) return damaged(path, 0, "an index that is longer than the file");
  HF_TRY(const Bytes bytes, readExactly(file, path, sizeof header, header.objects * sizeof(HistoryEntry)));
  if (ledger::checksum(bytes, header.end) != header.indexCheck) {
    return damaged(path, sizeof header, "the index does not fit its checksum");
  }
  std::vector<HistoryEntry> index(header.objects);
  if (!index.empty()) std::memcpy(index.data(), bytes.data(), bytes.size());
  return index;
}

Result<Bytes> readBlock(File& file, const std::string& path, const HistoryHeader& header, const HistoryEntry& entry) {
  HF_TRY(Bytes block, readExactly(file, path, entry.offset, entry.storedBytes));
  if (ledger::checksum(block, header.end) != entry.check) {
    return damaged(path, entry.offset, "a block does not fit its checksum");
  }
  if (entry.storedBytes == entry.bytes) return block;
  std::optional<Bytes> content = ledger::decompressBlock(block, entry.bytes);
  if (!content) return damaged(path, entry.offset, "a block cannot be decompressed");
  return *std::move(content);
}

ObjectKey keyOf(const HistoryEntry& entry) {
  ObjectKey key;
  std::memcpy(key.ns.bytes.data(), entry.ns, sizeof entry.ns);
  std::memcpy(key.id.bytes.data(), entry.id, sizeof entry.id);
  return key;
}

}  // namespace

// Gathers the records of a range by object; a full file is written as it comes.
class History::Collector final : public ledger::RecordSink {
 public:
  Collector(History& history, std::uint64_t from) : history_(history), from_(from), start(from), end(from) {}

  Result<void> onRecord(BytesView record, ledger::Position position, WallMs time) override {
    if (position.value <= from_) return {};
    // The records of a group end at one position: they go into one file.
    const bool begins = position.value != end;
    if (begins && bytes > history_.options_.fileBytesMax) HF_TRY_VOID(history_.write(*this));
    if (end == start) startTime = time;
    if (const std::optional<ObjectKey> object = ledger::objectOf(record)) {
      Bytes& block = blocks[*object];
      ledger::putVarint(block, position.value - start);
      ledger::putVarint(block, ledger::zigzag(time - startTime));
      ledger::putBytes(block, record);
      bytes += record.size();
    }
    end = position.value;
    endTime = time;
    return {};
  }

  void restart() {
    blocks.clear();
    bytes = 0;
    start = end;
  }

 private:
  History& history_;
  const std::uint64_t from_;

 public:
  std::map<ObjectKey, Bytes> blocks;
  std::uint64_t bytes = 0;
  std::uint64_t start;
  std::uint64_t end;
  WallMs startTime = 0;
  WallMs endTime = 0;
};

Result<std::unique_ptr<History>> History::open(Disk& disk, const Clock& clock, const Log& log, HistoryOptions options,
                                               const ledger::Ledger& ledger) {
  std::unique_ptr<History> history(new History(disk, clock, log, std::move(options), ledger.id()));
  HF_TRY_VOID(history->find(ledger.retired()));
  return history;
}

Result<void> History::removeAll(Disk& disk, const std::string& directory) {
  HF_TRY(const bool exists, disk.exists(directory));
  if (!exists) return {};
  HF_TRY_VOID(disk.removeTree(directory));
  return disk.syncDirectory(std::filesystem::path(directory).parent_path().string());
}

Result<void> History::find(ledger::Position retired) {
  start_ = end_ = retired.value;
  HF_TRY(const bool exists, disk_.exists(options_.directory));
  if (!exists) return {};
  // What is there now must be there after the next power loss.
  HF_TRY_VOID(disk_.syncDirectory(options_.directory));
  HF_TRY(const std::vector<std::string> names, disk_.list(options_.directory));
  std::vector<FileInfo> all;
  for (const std::string& name : names) {
    if (!name.ends_with(kSuffix)) continue;
    FileInfo info{.path = options_.directory + "/" + name};
    unsigned long long start = 0;
    unsigned long long end = 0;
    if (std::sscanf(name.c_str(), "%16llx-%16llx.history", &start, &end) != 2) continue;
    info.start = start;
    info.end = end;
    HF_TRY(const std::unique_ptr<File> file, disk_.open(info.path, OpenMode::kRead));
    HF_TRY(info.bytes, file->size());
    const Result<HistoryHeader> header = readHeader(*file, info.path);
    if (!header && header.error().code != Errc::kCorrupt) return std::unexpected(header.error());
    if (header && (header->ledger != id_ || header->start != start || header->end != end)) {
      log_.error("history: " + info.path + " belongs to another ledger");
      continue;
    }
    if (header) {
      info.startTime = header->startTime;
      info.endTime = header->endTime;
    } else {
      // It keeps its place: what is newer can be reached without it.
      log_.error("history: " + header.error().message);
    }
    all.push_back(std::move(info));
  }
  std::ranges::sort(all, {}, &FileInfo::end);
  // From the newest one back, as far as they join. One that lies within another was named by a round whose sync failed,
  // and the next round wrote the longer one.
  std::vector<FileInfo> joined;
  std::vector<std::string> useless;
  bool isBroken = false;
  for (FileInfo& info : std::views::reverse(all)) {
    const bool joins = joined.empty() ? info.end >= retired.value : info.end == joined.back().start;
    if (!isBroken && joins) {
      joined.push_back(std::move(info));
      continue;
    }
    isBroken = isBroken || joined.empty() || info.start < joined.back().start;
    useless.push_back(info.path);
  }
  for (const std::string& path : useless) {
    log_.warn("history: a file that nothing leads to any more is removed", {{"file", path}});
    HF_TRY_VOID(removeFile(path));
  }
  std::ranges::reverse(joined);
  files_ = std::move(joined);
  // Of a damaged one the neighbours know the times: it is kept for as long as it would have been.
  for (std::size_t i = 0; i < files_.size(); i++) {
    FileInfo& info = files_[i];
    if (info.endTime != 0) continue;
    info.startTime = i == 0 ? 0 : files_[i - 1].endTime;
    info.endTime = i + 1 == files_.size() ? clock_.wallMs() : files_[i + 1].startTime;
  }
  if (!files_.empty()) {
    start_ = files_.front().start;
    end_ = files_.back().end;
  }
  return {};
}

Result<void> History::removeFile(const std::string& path) {
  HF_TRY_VOID(disk_.remove(path));
  return disk_.syncDirectory(options_.directory);
}

Result<void> History::archive(ledger::Ledger& ledger, ledger::Position upTo) {
  if (end_ < ledger.retired().value) HF_TRY_VOID(startAnew(ledger.retired()));
  if (upTo.value <= end_) return {};
  Collector collector(*this, end_);
  HF_TRY_VOID(ledger.read(ledger::Position{end_}, upTo, collector));
  return write(collector);
}

Result<void> History::write(Collector& collector) {
  if (files_.empty()) {
    HF_TRY(const bool exists, disk_.exists(options_.directory));
    if (!exists) {
      HF_TRY_VOID(disk_.makeDirectories(options_.directory));
      HF_TRY_VOID(disk_.syncDirectory(std::filesystem::path(options_.directory).parent_path().string()));
    }
  }
  HistoryHeader header;
  header.ledger = id_;
  header.start = collector.start;
  header.end = collector.end;
  header.startTime = collector.startTime;
  header.endTime = collector.endTime;
  header.objects = collector.blocks.size();
  std::vector<HistoryEntry> index;
  std::vector<Bytes> stored;
  std::uint64_t offset = sizeof header + (collector.blocks.size() * sizeof(HistoryEntry));
  for (auto& [object, block] : collector.blocks) {
    HistoryEntry& entry = index.emplace_back();
    std::ranges::copy(object.ns.bytes, entry.ns);
    std::ranges::copy(object.id.bytes, entry.id);
    Bytes compressed = ledger::compressBlock(block);
    entry.bytes = static_cast<std::uint32_t>(block.size());
    stored.push_back(compressed.empty() ? std::move(block) : std::move(compressed));
    entry.offset = offset;
    entry.storedBytes = static_cast<std::uint32_t>(stored.back().size());
    entry.check = ledger::checksum(stored.back(), header.end);
    offset += stored.back().size();
  }
  const BytesView indexBytes{reinterpret_cast<const std::uint8_t*>(index.data()), index.size() * sizeof(HistoryEntry)};
  header.indexCheck = ledger::checksum(indexBytes, header.end);
  ledger::seal(header);

  FileInfo info{.path = options_.directory + "/" + fileName(header.start, header.end),
                .bytes = offset,
                .start = header.start,
                .end = header.end,
                .startTime = header.startTime,
                .endTime = header.endTime};
  const std::string next = options_.directory + "/" + kNewName;
  {
    HF_TRY(const std::unique_ptr<File> file, disk_.open(next, OpenMode::kCreate));
    HF_TRY_VOID(file->truncate(0));
    std::vector<BytesView> parts = {ledger::objectBytes(header), indexBytes};
    parts.insert(parts.end(), stored.begin(), stored.end());
    HF_TRY_VOID(file->writeAt(0, parts));
    HF_TRY_VOID(file->sync());
  }
  HF_TRY_VOID(disk_.rename(next, info.path));
  HF_TRY_VOID(disk_.syncDirectory(options_.directory));
  {
    const std::lock_guard lock(mutex_);
    HF_CHECK(end_ == info.start, "files of history follow each other");
    end_ = info.end;
    files_.push_back(std::move(info));
  }
  collector.restart();
  return {};
}

Result<void> History::prune() {
  const WallMs oldest = clock_.wallMs() - options_.retention.count();
  while (!files_.empty() && files_.front().endTime < oldest) HF_TRY_VOID(dropOldest());
  return {};
}

Result<bool> History::dropOldest() {
  if (files_.empty()) return false;
  const std::string path = files_.front().path;
  {
    // Not asked for any more before it goes.
    const std::lock_guard lock(mutex_);
    start_ = files_.front().end;
    files_.erase(files_.begin());
  }
  HF_TRY_VOID(removeFile(path));
  return true;
}

Result<void> History::startAnew(ledger::Position position) {
  while (!files_.empty()) HF_TRY_VOID(dropOldest());
  const std::lock_guard lock(mutex_);
  start_ = end_ = position.value;
  return {};
}

Result<void> History::check(Disk& disk, const std::string& path) {
  HF_TRY(const std::unique_ptr<File> file, disk.open(path, OpenMode::kRead));
  HF_TRY(const HistoryHeader header, readHeader(*file, path));
  HF_TRY(const std::vector<HistoryEntry> index, readIndex(*file, path, header));
  for (const HistoryEntry& entry : index) HF_TRY_VOID(readBlock(*file, path, header, entry));
  return {};
}

Result<void> History::readFile(const FileInfo& info, const ObjectKey& object, ledger::Position from,
                               ledger::Position to, ledger::RecordSink& sink) {
  HF_TRY(const std::unique_ptr<File> file, disk_.open(info.path, OpenMode::kRead));
  HF_TRY(const HistoryHeader header, readHeader(*file, info.path));
  HF_TRY(const std::vector<HistoryEntry> index, readIndex(*file, info.path, header));
  const auto entry = std::ranges::lower_bound(index, object, {}, keyOf);
  if (entry == index.end() || keyOf(*entry) != object) return {};
  HF_TRY(const Bytes block, readBlock(*file, info.path, header, *entry));
  ledger::WireReader reader(block);
  while (reader.left() > 0) {
    const ledger::Position end{header.start + reader.varint()};
    const WallMs time = header.startTime + ledger::unzigzag(reader.varint());
    HF_TRY(const std::optional<std::uint64_t> length, ledger::recordLength(reader.rest()));
    const BytesView record = reader.bytes(length.value_or(UINT64_MAX));
    if (!reader.ok()) return damaged(info.path, entry->offset, "a block whose records cannot be told apart");
    if (end > from && end <= to) HF_TRY_VOID(sink.onRecord(record, end, time));
  }
  return {};
}

Result<void> History::read(const ObjectKey& object, ledger::Position from, ledger::Position to,
                           ledger::RecordSink& sink) {
  std::vector<FileInfo> files;
  {
    const std::lock_guard lock(mutex_);
    for (const FileInfo& info : files_) {
      if (info.end > from.value && info.start < to.value) files.push_back(info);
    }
  }
  for (const FileInfo& info : files) HF_TRY_VOID(readFile(info, object, from, to, sink));
  return {};
}

Result<void> History::collectObjects(const std::function<void(const ObjectKey&)>& take) {
  std::vector<FileInfo> files;
  {
    const std::lock_guard lock(mutex_);
    files = files_;
  }
  for (const FileInfo& info : files) {
    HF_TRY(const std::unique_ptr<File> file, disk_.open(info.path, OpenMode::kRead));
    HF_TRY(const HistoryHeader header, readHeader(*file, info.path));
    HF_TRY(const std::vector<HistoryEntry> index, readIndex(*file, info.path, header));
    for (const HistoryEntry& entry : index) take(keyOf(entry));
  }
  return {};
}

std::optional<ledger::Position> History::startOfRangeAt(WallMs time) const {
  const std::lock_guard lock(mutex_);
  for (const FileInfo& info : files_) {
    if (info.endTime >= time) return ledger::Position{info.start};
  }
  return std::nullopt;
}

HistoryStats History::stats() const {
  const std::lock_guard lock(mutex_);
  HistoryStats stats{.files = files_.size(), .start = {start_}, .end = {end_}};
  for (const FileInfo& info : files_) stats.bytes += info.bytes;
  if (!files_.empty()) stats.oldest = files_.front().startTime;
  return stats;
}

}  // namespace hf::storage
