// One line, or one JSON value, for each batch and record of a ledger.
#include <array>
#include <map>
#include <utility>

#include "ledger/inspect.h"
#include "ledger/page_codec.h"
#include "server/commands/commands.h"

namespace hf::server {
namespace {

constexpr std::array<const char*, ledger::kPageEncodingLast + 1> kEncodings = {"raw", "zero", "lz4", "ranges",
                                                                               "lz4-of-change"};

std::string encodingName(std::uint8_t encoding) {
  return encoding < kEncodings.size() ? kEncodings.at(encoding) : "encoding-" + std::to_string(encoding);
}

class Dump final : public ledger::ScanObserver, public ledger::Replayer {
 public:
  explicit Dump(const LedgerDumpOptions& options) : options_(options) {}

  void onSegment(const ledger::SegmentFile& segment, const ledger::SegmentHeader& header) override {
    path_ = segment.path;
    if (options_.what == DumpWhat::kRecords) return;
    if (options_.json) {
      printJson({{"kind", "segment"},
                 {"file", path_},
                 {"sequence", header.sequence},
                 {"start", header.start},
                 {"bytes", header.segmentBytes}});
    } else {
      print("segment  " + path_ + "  sequence " + std::to_string(header.sequence) + "  start " +
            std::to_string(header.start) + "  " + humanBytes(header.segmentBytes) + "\n");
    }
  }

  void onBatch(const ledger::BatchHeader& batch, std::uint64_t offset, std::uint64_t diskBytes) override {
    if (!isInRange(batch.position, batch.position + batch.payloadBytes)) return;
    batches_++;
    diskBytes_ += diskBytes;
    if (options_.what == DumpWhat::kRecords) return;
    if (options_.json) {
      printJson({{"kind", "batch"},
                 {"position", batch.position},
                 {"time", batch.time},
                 {"payload_bytes", batch.payloadBytes},
                 {"disk_bytes", diskBytes},
                 {"file", path_},
                 {"offset", offset},
                 {"record_starts", batch.recordStarts}});
    } else {
      print("batch  " + std::to_string(batch.position) + "  " + std::to_string(batch.payloadBytes) + " bytes (" +
            std::to_string(diskBytes) + " on disk)  " + path_ + " at offset " + std::to_string(offset) + "  starts " +
            std::to_string(batch.recordStarts) + " records\n");
    }
  }

  void onRecord(ledger::Position start, BytesView bytes) override {
    start_ = start.value;
    bytes_ = bytes.size();
  }

  Result<void> onCommit(const ledger::RecoveredCommit& commit) override {
    if (!isInRange(start_, commit.end.value) || !commit.object.id.hex().starts_with(options_.object)) return {};
    commits_++;
    commitBytes_ += bytes_;
    for (const ledger::RecoveredPage& page : commit.pages) {
      Pages& of = pages_[page.encoding];
      of.count++;
      of.bytes += page.encoded.size();
    }
    if (options_.what == DumpWhat::kBatches) return {};
    options_.json ? printJson(jsonOf(commit)) : print(textOf(commit));
    return {};
  }

  Result<void> onNamespaceDeleted(const ledger::NamespaceDeletion& deletion, ledger::Position end) override {
    if (!isInRange(start_, end.value) || !options_.object.empty()) return {};
    deletions_++;
    if (options_.what == DumpWhat::kBatches) return {};
    if (options_.json) {
      printJson({{"kind", "namespace-deletion"},
                 {"position", start_},
                 {"end", end.value},
                 {"bytes", bytes_},
                 {"namespace", deletion.ns.hex()}});
    } else {
      print("namespace-deletion  " + range(end) + "  " + deletion.ns.hex() + "\n");
    }
    return {};
  }

  Result<void> onUndo(const ledger::RecoveredUndo& undo) override {
    if (!isInRange(start_, undo.end.value) || !undo.object.id.hex().starts_with(options_.object)) return {};
    undos_++;
    undoBytes_ += bytes_;
    if (options_.what == DumpWhat::kBatches) return {};
    if (options_.json) {
      printJson({{"kind", "undo"},
                 {"position", start_},
                 {"end", undo.end.value},
                 {"bytes", bytes_},
                 {"namespace", undo.object.ns.hex()},
                 {"object", undo.object.id.hex()},
                 {"from", undo.from.value},
                 {"file_pages", undo.filePages},
                 {"pages", undo.pages.size()}});
    } else {
      print("undo  " + range(undo.end) + "  " + undo.object.ns.hex() + "/" + undo.object.id.hex() + "  " +
            std::to_string(undo.pages.size()) + " pages of a file of " + std::to_string(undo.filePages) +
            " as of position " + std::to_string(undo.from.value) + "\n");
    }
    return {};
  }

  Result<void> onRestoreRequest(const ledger::RestoreRequest& request) override {
    if (!isInRange(start_, start_ + bytes_) || !request.object.id.hex().starts_with(options_.object)) return {};
    if (options_.what == DumpWhat::kBatches) return {};
    if (options_.json) {
      OutputJson to = nullptr;
      if (request.to) to = request.to->value;
      printJson({{"kind", "restore-request"},
                 {"position", start_},
                 {"end", start_ + bytes_},
                 {"bytes", bytes_},
                 {"namespace", request.object.ns.hex()},
                 {"object", request.object.id.hex()},
                 {"to", std::move(to)},
                 {"undo", request.isUndo}});
    } else {
      print("restore-request  " + range(ledger::Position{start_ + bytes_}) + "  " + request.object.ns.hex() + "/" +
            request.object.id.hex() + (request.to ? "  to position " + std::to_string(request.to->value) : "  none") +
            (request.isUndo ? ", undone" : "") + "\n");
    }
    return {};
  }

  void printTotals() const {
    const std::uint64_t average = commits_ == 0 ? 0 : commitBytes_ / commits_;
    if (options_.json) {
      OutputJson pages = OutputJson::object();
      for (const auto& [encoding, of] : pages_) {
        pages[encodingName(encoding)] = {{"count", of.count}, {"bytes", of.bytes}};
      }
      printJson({{"kind", "totals"},
                 {"batches", batches_},
                 {"batch_disk_bytes", diskBytes_},
                 {"commits", commits_},
                 {"commit_bytes", commitBytes_},
                 {"average_commit_bytes", average},
                 {"namespace_deletions", deletions_},
                 {"undo_records", undos_},
                 {"undo_bytes", undoBytes_},
                 {"pages", std::move(pages)}});
      return;
    }
    std::string text = "total  " + std::to_string(commits_) + " commits, " + std::to_string(commitBytes_) + " bytes, " +
                       std::to_string(average) + " bytes per commit;  " + std::to_string(deletions_) +
                       " namespace deletions;  " + std::to_string(undos_) + " undo records, " +
                       std::to_string(undoBytes_) + " bytes;  " + std::to_string(batches_) + " batches, " +
                       std::to_string(diskBytes_) + " bytes on disk\n";
    for (const auto& [encoding, of] : pages_) {
      text += "  pages  " + encodingName(encoding) + ": " + std::to_string(of.count) + ", " + std::to_string(of.bytes) +
              " bytes\n";
    }
    print(text);
  }

 private:
  struct Pages {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] bool isInRange(std::uint64_t start, std::uint64_t end) const {
    return end > options_.from && (!options_.to || start < *options_.to);
  }
  [[nodiscard]] std::string range(ledger::Position end) const {
    return std::to_string(start_) + ".." + std::to_string(end.value) + "  " + std::to_string(bytes_) + " bytes";
  }

  [[nodiscard]] std::string textOf(const ledger::RecoveredCommit& commit) const {
    std::string text = "commit  " + range(commit.end) + "  " + commit.object.ns.hex() + "/" + commit.object.id.hex() +
                       "  transaction " + std::to_string(commit.transaction) + "  database of " +
                       std::to_string(commit.pageCount) + " pages";
    if (commit.reset) text += "  reset";
    if (commit.alarm) {
      text += commit.alarm->at ? "  alarm " + std::to_string(*commit.alarm->at) : "  alarm none";
      if (!commit.alarm->objectName.empty()) text += " name " + OutputJson(commit.alarm->objectName).dump();
    }
    text += "\n";
    for (const ledger::RecoveredPage& page : commit.pages) {
      text += "  page  " + std::to_string(page.number) + "  " + encodingName(page.encoding) + "  " +
              std::to_string(page.encoded.size()) + " bytes\n";
    }
    return text;
  }

  [[nodiscard]] OutputJson jsonOf(const ledger::RecoveredCommit& commit) const {
    OutputJson pages = OutputJson::array();
    for (const ledger::RecoveredPage& page : commit.pages) {
      pages.push_back(
          {{"number", page.number}, {"encoding", encodingName(page.encoding)}, {"bytes", page.encoded.size()}});
    }
    OutputJson json{{"kind", "commit"},
                    {"position", start_},
                    {"end", commit.end.value},
                    {"bytes", bytes_},
                    {"namespace", commit.object.ns.hex()},
                    {"object", commit.object.id.hex()},
                    {"transaction", commit.transaction},
                    {"database_pages", commit.pageCount},
                    {"reset", commit.reset},
                    {"pages", std::move(pages)}};
    if (commit.alarm) {
      json["alarm"] = {{"at_ms", commit.alarm->at ? OutputJson(*commit.alarm->at) : OutputJson()},
                       {"name", commit.alarm->objectName}};
    }
    return json;
  }

  const LedgerDumpOptions& options_;
  std::string path_;
  std::uint64_t start_ = 0;  // of the record that comes next
  std::uint64_t bytes_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t diskBytes_ = 0;
  std::uint64_t commits_ = 0;
  std::uint64_t commitBytes_ = 0;
  std::uint64_t deletions_ = 0;
  std::uint64_t undos_ = 0;
  std::uint64_t undoBytes_ = 0;
  std::map<std::uint8_t, Pages> pages_;
};

}  // namespace

int runLedgerDump(const LedgerDumpOptions& options) {
  const Result<LocalTarget> target = findDirectory(options.directory, Access::kRead);
  if (!target) return failTool(target.error());
  Dump dump(options);
  const auto found = ledger::inspectLedger(toolDisk(), options.directory + "/ledger", dump, &dump);
  if (!found) return failTool(found.error());
  dump.printTotals();
  for (const ledger::Finding& finding : found->findings) failTool(findingText(finding));
  return found->findings.empty() ? kToolDone : kToolFailed;
}

}  // namespace hf::server
