#include "server/commands/admin_client.h"
#include "server/commands/commands.h"
#include "server/history_size.h"

namespace hf::server {

int runHistory(const HistoryOptions& options) {
  const auto size = [&]() -> Result<HistorySize> {
    HF_TRY(const Target target, findTarget(options.where, options.server, Access::kRead));
    if (const auto* local = std::get_if<LocalTarget>(&target)) return historySize(toolDisk(), local->directory);
    HF_TRY(const OutputJson json, AdminClient(std::get<RemoteTarget>(target)).get("/history"));
    if (!json.is_object()) return fail(Errc::kInvalidArgument, "the server's answer is not one of a Holdfast");
    return HistorySize{.files = json.value("files", std::uint64_t{0}), .bytes = json.value("bytes", std::uint64_t{0})};
  }();
  if (!size) return failTool(size.error());
  if (options.json) {
    printJson({{"files", size->files}, {"bytes", size->bytes}});
  } else {
    print("history: " + std::to_string(size->files) + " files, " + std::to_string(size->bytes) + " bytes (" +
          humanBytes(size->bytes) + ")\n");
  }
  return kToolDone;
}

}  // namespace hf::server
