#include "storage/verify.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/page_checksum.h"

namespace hf::storage {
namespace {

constexpr std::uint64_t kWindowBytes = 256 * kPageBytes;
constexpr std::string_view kMagic("SQLite format 3\0", 16);
constexpr std::string_view kSuffix = ".sqlite";

std::uint32_t bigEndian32(const std::uint8_t* at) {
  return (std::uint32_t{at[0]} << 24) | (std::uint32_t{at[1]} << 16) | (std::uint32_t{at[2]} << 8) | at[3];
}

// What is wrong with the header of a database of `fileBytes`, and at which offset.
std::optional<std::pair<std::uint64_t, std::string>> headerDamage(const Page& page, std::uint64_t fileBytes) {
  if (std::memcmp(page.data(), kMagic.data(), kMagic.size()) != 0) return {{0, "not a SQLite database"}};
  const unsigned pageSize = (unsigned{page[16]} << 8) | page[17];
  if (pageSize != kPageBytes) return {{16, "its header gives a page size of " + std::to_string(pageSize)}};
  if (page[kReservedBytesOffset] != kPageChecksumBytes) {
    return {{kReservedBytesOffset, "its header reserves " + std::to_string(page[kReservedBytesOffset]) +
                                       " bytes of each page, not the 8 of a checksum"}};
  }
  const std::uint32_t pages = bigEndian32(page.data() + 28);
  // SQLite itself believes the field only then.
  const bool isValid = std::memcmp(page.data() + 24, page.data() + 92, 4) == 0;
  if (isValid && pages != fileBytes / kPageBytes) {
    return {{28, "its header says " + std::to_string(pages) + " pages, the file has " +
                     std::to_string(fileBytes / kPageBytes)}};
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<ledger::Finding>> verifyObjectFile(Disk& disk, const std::string& path,
                                                      const std::function<bool(std::uint32_t)>& isReplayed) {
  std::vector<ledger::Finding> findings;
  const auto counts = [&](std::uint32_t page) { return !isReplayed || !isReplayed(page); };
  if (!counts(0)) return findings;
  HF_TRY(const std::unique_ptr<File> file, disk.open(path, OpenMode::kRead));
  HF_TRY(const std::uint64_t bytes, file->size());
  if (bytes % kPageBytes != 0) {
    findings.push_back(
        {.file = path,
         .offset = bytes,
         .what = "the file ends here, which is not at the end of a page of " + std::to_string(kPageBytes) + " bytes"});
  }
  if (bytes < kPageBytes) return findings;
  Page first;
  HF_TRY_VOID(file->readAt(0, first));
  if (counts(1)) {
    if (auto damage = headerDamage(first, bytes)) {
      findings.push_back({.file = path, .offset = damage->first, .what = damage->second});
      return findings;
    }
  }
  Bytes window;
  for (std::uint64_t at = 0; at + kPageBytes <= bytes; at += kWindowBytes) {
    window.resize(std::min(kWindowBytes, bytes - at));
    HF_TRY(const std::size_t got, file->readAt(at, window));
    for (std::size_t in = 0; in + kPageBytes <= got; in += kPageBytes) {
      const auto number = static_cast<std::uint32_t>((at + in) / kPageBytes) + 1;
      if (pageChecksumFits(BytesView(window).subspan(in, kPageBytes)) || !counts(number)) continue;
      findings.push_back(
          {.file = path, .offset = at + in, .what = "page " + std::to_string(number) + " fails its checksum"});
    }
  }
  return findings;
}

Result<ObjectsReport> verifyObjects(Disk& disk, const std::string& directory, ReadOnlyStore& store,
                                    const ObjectImage::Progress& progress) {
  ObjectsReport report;
  const std::string root = directory + "/objects";
  HF_TRY(const bool exists, disk.exists(root));
  if (!exists) return report;
  HF_TRY(const std::vector<std::string> namespaces, disk.list(root));
  for (const std::string& nsName : namespaces) {
    const Result<NamespaceId> ns = NamespaceId::parse(nsName);
    if (!ns) {
      report.unknown++;
      continue;
    }
    HF_TRY(const std::vector<std::string> folders, disk.list(root + "/" + nsName));
    for (const std::string& folder : folders) {
      const std::string path = root + "/" + nsName + "/" + folder;
      HF_TRY(const std::vector<std::string> names, disk.list(path));
      for (const std::string& name : names) {
        ObjectKey object{.ns = *ns, .id = {}};
        if (!name.ends_with(kSuffix) ||
            !fromHex(std::string_view(name).substr(0, name.size() - kSuffix.size()), object.id.bytes) ||
            name.substr(0, 2) != folder) {
          report.unknown++;
          continue;
        }
        HF_TRY(auto found, verifyObjectFile(disk, path + "/" + name,
                                            [&](std::uint32_t page) { return store.replaces(object, page); }));
        std::ranges::move(found, std::back_inserter(report.findings));
        report.files++;
        HF_TRY(const auto file, disk.open(path + "/" + name, OpenMode::kRead));
        HF_TRY(const std::uint64_t bytes, file->size());
        report.bytes += bytes;
        if (progress) HF_TRY_VOID(progress(report.bytes));
      }
    }
  }
  return report;
}

}  // namespace hf::storage
