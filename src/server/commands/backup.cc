#include <utility>

#include "catalog/catalog.h"
#include "ledger/recovery.h"
#include "server/backup_files.h"
#include "server/commands/admin_client.h"
#include "server/commands/commands.h"
#include "server/tar.h"

namespace hf::server {
namespace {

// Says how far it is.
class ShownSink final : public BackupSink {
 public:
  ShownSink(BackupSink& inner, Progress& progress) : inner_(inner), progress_(progress) {}
  Result<void> begin(const std::string& name, std::uint64_t bytes) override { return inner_.begin(name, bytes); }
  Result<void> write(BytesView bytes) override {
    bytes_ += bytes.size();
    progress_.update(bytes_);
    return inner_.write(bytes);
  }
  Result<void> end() override { return inner_.end(); }

 private:
  BackupSink& inner_;
  Progress& progress_;
  std::uint64_t bytes_ = 0;
};

// Nobody writes: the lock is held. What a kill has left is copied as it is, and recovered where it is restored.
Result<void> sendStopped(Disk& disk, const std::string& directory, bool withToken, BackupSink& out) {
  CountingSink sink(out);
  Manifest manifest{.version = kVersion, .created = catalog::rfc3339(systemClock().wallMs()), .withToken = withToken};
  HF_TRY_VOID(sendTree(disk, sink, directory + "/objects", "objects"));
  HF_TRY_VOID(sendTree(disk, sink, directory + "/history", "history"));
  HF_TRY(const ledger::LiveLedger live, ledger::readLive(disk, directory + "/ledger"));
  manifest.retired = live.mark.retired;
  manifest.end = live.mark.retired;
  std::vector<std::string> names = {"alarms", "restores", "ledger/mark", "catalog.sqlite", "catalog.sqlite-journal"};
  for (const auto& segment : live.live) names.push_back(segment.file->path.substr(directory.size() + 1));
  if (withToken) names.emplace_back(kTokenName);
  for (const std::string& name : names) {
    HF_TRY(const bool exists, disk.exists(directory + "/" + name));
    if (exists) HF_TRY_VOID(sendFile(disk, sink, directory + "/" + name, name));
  }
  manifest.files = sink.files;
  manifest.bytes = sink.bytes;
  return sendBytes(out, kManifestName, asBytes(manifestText(manifest)));
}

Result<void> receive(const RemoteTarget& target, bool withToken, BackupSink& sink) {
  HF_TRY(const auto answer,
         AdminClient(target).stream("POST", std::string("/backup") + (withToken ? "?token=true" : "")));
  TarReader reader(sink);
  Bytes piece(256UL * 1024);
  while (true) {
    HF_TRY(const std::size_t got, answer->read(piece));
    if (got == 0) break;
    HF_TRY_VOID(reader.feed(BytesView(piece).first(got)));
  }
  if (!reader.isComplete()) return fail(Errc::kDisconnected, "the server broke the backup off before its end");
  return {};
}

Result<Manifest> backup(const BackupOptions& options) {
  // Asked first: a destination that will not do costs nobody anything.
  HF_TRY(const auto made, NewDirectory::create(toolDisk(), options.destination));
  HF_TRY(const Target target, findTarget(options.where, options.server, Access::kRead));
  Progress progress(options.progress, "copying");
  ShownSink sink(*made, progress);
  if (const auto* remote = std::get_if<RemoteTarget>(&target)) {
    HF_TRY_VOID(receive(*remote, options.withToken, sink));
  } else {
    HF_TRY_VOID(sendStopped(toolDisk(), std::get<LocalTarget>(target).directory, options.withToken, sink));
  }
  HF_TRY(Manifest manifest, parseManifest(made->manifest, kManifestName));
  if (manifest.files != made->files || manifest.bytes != made->bytes) {
    return fail(Errc::kCorrupt, "the backup is not complete: " + std::to_string(manifest.files) + " files of " +
                                    std::to_string(manifest.bytes) + " bytes were announced, " +
                                    std::to_string(made->files) + " of " + std::to_string(made->bytes) + " came");
  }
  HF_TRY_VOID(made->commit());
  return manifest;
}

}  // namespace

int runBackup(const BackupOptions& options) {
  const Result<Manifest> manifest = backup(options);
  if (!manifest) return failTool(manifest.error());
  if (options.json) {
    print(manifestText(*manifest));
  } else {
    print("backup in " + options.destination + ": " + std::to_string(manifest->files) + " files, " +
          humanBytes(manifest->bytes) + ", as of ledger position " + std::to_string(manifest->end) + "\n");
  }
  return kToolDone;
}

}  // namespace hf::server
