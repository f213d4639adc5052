#include "server/commands/commands.h"
#include "server/commands/verify_directory.h"

namespace hf::server {

int runLedgerVerify(const LedgerVerifyOptions& options) {
  const Result<LocalTarget> target = findDirectory(options.directory, Access::kRead);
  if (!target) {
    const bool isUsed = target.error().code == Errc::kAlreadyExists;
    return failTool(target.error().message +
                    (isUsed ? ": stop it first, or make a backup (holdfast backup) and verify that" : ""));
  }
  Result<DirectoryReport> report = [&] {
    Progress progress(options.progress, "verifying objects");
    return verifyDirectory(toolDisk(), options.directory, progress);
  }();
  if (!report) return failTool(report.error());
  if (options.json) {
    printJson(reportJson(*report));
  } else {
    print(reportText(*report));
  }
  return report->findings.empty() ? kToolDone : kToolFailed;
}

}  // namespace hf::server
