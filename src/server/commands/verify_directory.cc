#include "server/commands/verify_directory.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "catalog/namespaces.h"
#include "server/commands/target.h"
#include "storage/read_only_store.h"
#include "storage/verify.h"

namespace hf::server {
namespace {

// SQLite says "page 7" somewhere in its findings, if it knows.
std::optional<std::uint64_t> offsetIn(const std::string& finding) {
  constexpr std::uint64_t kCatalogPageBytes = 4096;
  for (const std::string_view word : {"page ", "Page "}) {
    const std::size_t at = finding.find(word);
    if (at == std::string::npos) continue;
    std::uint64_t page = 0;
    const char* begin = finding.data() + at + word.size();
    const auto [end, error] = std::from_chars(begin, finding.data() + finding.size(), page);
    if (error == std::errc() && page > 0) return (page - 1) * kCatalogPageBytes;
  }
  return std::nullopt;
}

Result<void> verifyCatalog(const std::string& directory, DirectoryReport& report) {
  HF_TRY(const auto scratch, ScratchDirectory::make());
  HF_TRY(const std::string copy, copyCatalog(directory, *scratch));
  report.hasCatalog = !copy.empty();
  if (copy.empty()) return {};
  HF_TRY(const std::vector<std::string> found, catalog::checkCatalog(copy));
  for (const std::string& what : found) {
    report.findings.push_back({.file = directory + "/catalog.sqlite", .offset = offsetIn(what), .what = what});
  }
  return {};
}

}  // namespace

Result<DirectoryReport> verifyDirectory(Disk& disk, const std::string& directory, Progress& progress) {
  DirectoryReport report;
  HF_TRY(const auto store, storage::openStoreReadOnly(disk, directory));
  report.ledger = store->inspection();
  report.findings = store->findings();
  report.replayedObjects = store->replayedObjects();
  report.alarms = store->alarms().size();
  HF_TRY(storage::ObjectsReport objects,
         storage::verifyObjects(disk, directory, *store, [&](std::uint64_t bytes) -> Result<void> {
           progress.update(bytes);
           return {};
         }));
  std::ranges::move(objects.findings, std::back_inserter(report.findings));
  report.objectFiles = objects.files;
  report.objectBytes = objects.bytes;
  report.unknownEntries = objects.unknown;
  HF_TRY_VOID(verifyCatalog(directory, report));
  return report;
}

OutputJson reportJson(const DirectoryReport& report) {
  OutputJson findings = OutputJson::array();
  for (const ledger::Finding& finding : report.findings) findings.push_back(findingJson(finding));
  return OutputJson{{"ok", report.findings.empty()},
                    {"findings", std::move(findings)},
                    {"ledger",
                     {{"retired", report.ledger.retired.value},
                      {"tail", report.ledger.tail.value},
                      {"records", report.ledger.report.records},
                      {"record_bytes", report.ledger.report.bytes},
                      {"segments", report.ledger.segments},
                      {"spare_segments", report.ledger.spareSegments},
                      {"dropped_bytes", report.ledger.report.droppedBytes},
                      {"dropped_at", report.ledger.report.droppedAt}}},
                    {"objects",
                     {{"files", report.objectFiles},
                      {"bytes", report.objectBytes},
                      {"newer_in_ledger", report.replayedObjects},
                      {"unknown_entries", report.unknownEntries}}},
                    {"alarms", report.alarms},
                    {"catalog", report.hasCatalog}};
}

std::string reportText(const DirectoryReport& report) {
  std::string text;
  for (const ledger::Finding& finding : report.findings) text += findingText(finding) + "\n";
  const ledger::Inspection& ledger = report.ledger;
  text += "ledger: " + std::to_string(ledger.report.records) + " records (" + humanBytes(ledger.report.bytes) +
          ") from position " + std::to_string(ledger.retired.value) + " to " + std::to_string(ledger.tail.value) +
          " in " + std::to_string(ledger.segments) + " segments, for " + std::to_string(report.replayedObjects) +
          " objects\n";
  if (ledger.report.droppedBytes > 0) {
    text += "ledger: " + std::to_string(ledger.report.droppedBytes) + " bytes after the last whole record, in " +
            ledger.report.droppedAt + ", were never acknowledged; the next start drops them\n";
  }
  text += "objects: " + std::to_string(report.objectFiles) + " files (" + humanBytes(report.objectBytes) + ")";
  if (report.unknownEntries > 0) text += ", and " + std::to_string(report.unknownEntries) + " entries not ours";
  text += "\nalarms: " + std::to_string(report.alarms) + "\ncatalog: " + (report.hasCatalog ? "checked" : "none") +
          "\n" +
          (report.findings.empty() ? "no damage found"
                                   : "DAMAGE FOUND: " + std::to_string(report.findings.size()) +
                                         (report.findings.size() == 1 ? " finding" : " findings")) +
          "\n";
  return text;
}

}  // namespace hf::server
