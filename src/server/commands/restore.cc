#include <filesystem>
#include <utility>

#include "server/backup_files.h"
#include "server/commands/commands.h"
#include "server/commands/verify_directory.h"

namespace hf::server {
namespace {

// What is there must be what the backup has written: a file that is missing shows in no other file.
Result<void> checkComplete(const std::string& source, const Manifest& manifest) {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::error_code error;
  auto it = std::filesystem::recursive_directory_iterator(source, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!it->is_regular_file(error) || error) continue;
    if (it.depth() == 0 && (name == kManifestName || name == "lock" || name == "holdfast-in-progress")) continue;
    files++;
    bytes += it->file_size(error);
  }
  if (error) return fail(Errc::kIo, "cannot read " + source + ": " + error.message());
  if (files == manifest.files && bytes == manifest.bytes) return {};
  return fail(Errc::kCorrupt, source + " is not what the backup has made: it holds " + std::to_string(files) +
                                  " files of " + std::to_string(bytes) + " bytes, and " + kManifestName + " says " +
                                  std::to_string(manifest.files) + " of " + std::to_string(manifest.bytes));
}

Result<Manifest> restore(const RestoreOptions& options) {
  HF_TRY(Manifest manifest, readManifest(options.source));
  HF_TRY(const LocalTarget source, findDirectory(options.source, Access::kRead));
  HF_TRY(const auto made, NewDirectory::create(toolDisk(), options.directory));
  HF_TRY_VOID(checkComplete(options.source, manifest));
  {
    Progress progress(options.progress, "verifying");
    HF_TRY(const DirectoryReport report, verifyDirectory(toolDisk(), options.source, progress));
    if (!report.findings.empty()) {
      return fail(Errc::kCorrupt, "the backup is damaged: " + findingText(report.findings.front()) +
                                      " (holdfast ledger verify " + options.source + " says everything)");
    }
  }
  HF_TRY_VOID(sendTree(toolDisk(), *made, options.source, ""));
  HF_TRY_VOID(made->commit());
  return manifest;
}

}  // namespace

int runRestore(const RestoreOptions& options) {
  const Result<Manifest> manifest = restore(options);
  if (!manifest) return failTool(manifest.error());
  if (options.json) {
    print(manifestText(*manifest));
  } else {
    print("restored " + options.directory + " from the backup of " + manifest->created + ": " +
          std::to_string(manifest->files) + " files, " + humanBytes(manifest->bytes) + "\n" +
          "start it with: holdfast serve --dir " + options.directory + "\n");
  }
  return kToolDone;
}

}  // namespace hf::server
