#include "server/maintenance.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "catalog/sql.h"
#include "server/backup_files.h"
#include "server/byte_channel.h"
#include "server/history_size.h"
#include "server/options.h"
#include "server/tar.h"
#include "storage/import_database.h"
#include "storage/store_tools.h"

namespace hf::server {
namespace {

constexpr std::size_t kPieceBytes = 256UL * 1024;

// Writes an archive into a channel.
class TarSink final : public BackupSink {
 public:
  explicit TarSink(ByteChannel& channel) : channel_(channel) {}
  Result<void> begin(const std::string& name, std::uint64_t bytes) override {
    padding_ = tarPadding(bytes);
    HF_TRY(const Bytes header, tarHeader(name, bytes));
    return put(header);
  }
  Result<void> write(BytesView bytes) override { return put(bytes); }
  Result<void> end() override { return put(Bytes(padding_, 0)); }
  Result<void> finish() {
    HF_TRY_VOID(put(Bytes(kTarEndBytes, 0)));
    return channel_.push(std::exchange(gathered_, {}));
  }

 private:
  // Small files are many: a piece for each would be a trip each.
  Result<void> put(BytesView bytes) {
    gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
    if (gathered_.size() < kPieceBytes) return {};
    return channel_.push(std::exchange(gathered_, {}));
  }

  ByteChannel& channel_;
  Bytes gathered_;
  std::size_t padding_ = 0;
};

}  // namespace

struct NodeMaintenance::Job {
  explicit Job(Executor& control) : channel(std::make_shared<ByteChannel>(control)) {}

  // What another thread does for this one: waited for here, delivered there.
  Result<void> waitForAnswer() {
    std::unique_lock lock(mutex);
    answered.wait(lock, [this] { return answer || cancelled; });
    if (!answer) return fail(Errc::kCancelled, "the server is stopping");
    return *std::exchange(answer, std::nullopt);
  }
  void deliver(Result<void> result) {
    const std::scoped_lock lock(mutex);
    answer = std::move(result);
    answered.notify_all();
  }
  [[nodiscard]] bool isCancelled() {
    const std::scoped_lock lock(mutex);
    return cancelled;
  }
  void cancel() {
    channel->cancel();
    const std::scoped_lock lock(mutex);
    cancelled = true;
    answered.notify_all();
  }

  const std::shared_ptr<ByteChannel> channel;  // with its reader
  std::string temporary;                       // a path for its files; fixed once made
  std::weak_ptr<Job> self;                     // fixed once made
  std::atomic<bool> finished = false;
  // Control thread only
  std::unique_ptr<catalog::Backup> catalogBackup;
  std::thread thread;

  std::mutex mutex;
  std::condition_variable answered;
  // Guarded by mutex
  std::optional<Result<void>> answer;
  bool cancelled = false;
  // From the shard to the job's thread, before the answer says that it is there
  std::unique_ptr<storage::ObjectHold> hold;
};

NodeMaintenance::NodeMaintenance(Dependencies dependencies) : to_(std::move(dependencies)) {
  if (Result<void> removed = to_.disk.removeTree(to_.directory + "/tmp"); !removed) {
    to_.log.warn("files left by earlier jobs cannot be removed", {{"error", removed.error().message}});
  }
}

NodeMaintenance::~NodeMaintenance() {
  alive_.reset();
  for (const JobPtr& job : jobs_) job->cancel();
  for (const JobPtr& job : jobs_) {
    job->thread.join();
    job->catalogBackup.reset();
  }
}

void NodeMaintenance::cancelStreams() {
  for (const JobPtr& job : jobs_) job->channel->cancel();
}

void NodeMaintenance::reap() {
  std::erase_if(jobs_, [](const JobPtr& job) {
    if (!job->finished || job->catalogBackup != nullptr) return false;
    job->thread.join();
    return true;
  });
}

Result<NodeMaintenance::JobPtr> NodeMaintenance::makeJob() {
  reap();
  if (jobs_.size() >= limits::kMaintenanceJobsMax) {
    return fail(Errc::kOverloaded, "the server is busy with " + std::to_string(jobs_.size()) +
                                       " backups, exports or imports: try again when one of them has ended");
  }
  HF_TRY_VOID(to_.disk.makeDirectories(to_.directory + "/tmp"));
  auto job = std::make_shared<Job>(to_.control);
  job->self = job;
  job->temporary = to_.directory + "/tmp/" + std::to_string(++temporaries_);
  return job;
}

void NodeMaintenance::start(JobPtr job, std::move_only_function<void(Job&)> body) {
  jobs_.push_back(job);
  Job& made = *job;
  made.thread = std::thread([&made, body = std::move(body)]() mutable {
    body(made);
    body = nullptr;  // what it owns goes before anybody is told
    made.finished = true;
  });
}

// --- lists

void NodeMaintenance::listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                                  Completion<Result<std::vector<ObjectDetail>>> done) {
  Result<JobPtr> job = makeJob();
  if (!job) return done(std::unexpected(std::move(job).error()));
  start(*job, [this, ns, after, limit, done = std::move(done)](Job&) mutable {
    auto list = [&]() -> Result<std::vector<ObjectDetail>> {
      const auto names = to_.store.tools().alarmNames(ns);
      HF_TRY(const auto objects, to_.store.listObjects(ns, after, limit));
      std::vector<ObjectDetail> details;
      details.reserve(objects.size());
      for (const storage::StoredObject& object : objects) {
        HF_TRY(const std::uint64_t bytes, to_.store.tools().objectBytes({.ns = ns, .id = object.id}));
        const auto name = names.find(object.id);
        details.push_back({.id = object.id, .bytes = bytes, .name = name == names.end() ? "" : name->second});
      }
      return details;
    };
    to_.control.post([done = std::move(done), result = list()]() mutable { done(std::move(result)); });
  });
}

void NodeMaintenance::historySize(Completion<Result<HistorySize>> done) {
  Result<JobPtr> job = makeJob();
  if (!job) return done(std::unexpected(std::move(job).error()));
  start(*job, [this, done = std::move(done)](Job&) mutable {
    const auto found = server::historySize(to_.disk, to_.directory);
    Result<HistorySize> size = HistorySize();
    if (found) {
      size = HistorySize{.files = found->files, .bytes = found->bytes};
    } else {
      size = std::unexpected(found.error());
    }
    to_.control.post([done = std::move(done), size = std::move(size)]() mutable { done(std::move(size)); });
  });
}

// --- export

Result<std::uint64_t> NodeMaintenance::spoolExport(Job& job, const ObjectKey& object, std::unique_ptr<File>& file) {
  // To disk first: a client that reads slowly must not hold checkpoints up.
  HF_TRY(file, to_.disk.open(job.temporary, OpenMode::kCreateNew));
  HF_TRY_VOID(to_.disk.remove(job.temporary));  // it lives as long as it is open
  return to_.store.tools().copyObject(object, *file, [&](std::uint64_t) -> Result<void> {
    if (job.channel->isCancelled()) return fail(Errc::kCancelled, "nobody waits for the export any more");
    return {};
  });
}

void NodeMaintenance::exportObject(ObjectKey object, Completion<Result<StreamPtr>> done) {
  Result<JobPtr> made = makeJob();
  if (!made) return done(std::unexpected(std::move(made).error()));
  start(*made, [this, object, done = std::move(done)](Job& job) mutable {
    std::unique_ptr<File> file;
    const Result<std::uint64_t> bytes = spoolExport(job, object, file);
    Result<StreamPtr> stream = bytes ? Result<StreamPtr>(ByteChannel::readerOf(job.channel))
                                     : Result<StreamPtr>(std::unexpected(bytes.error()));
    to_.control.post([done = std::move(done), stream = std::move(stream)]() mutable { done(std::move(stream)); });
    if (!bytes) return;
    const auto send = [&]() -> Result<void> {
      for (std::uint64_t at = 0; at < *bytes;) {
        Bytes piece(std::min<std::uint64_t>(kPieceBytes, *bytes - at));
        HF_TRY(const std::size_t got, file->readAt(at, piece));
        if (got != piece.size()) return fail(Errc::kIo, "a temporary file became shorter");
        at += got;
        HF_TRY_VOID(job.channel->push(std::move(piece)));
      }
      return {};
    };
    job.channel->close(send());
  });
}

// --- import

Result<NodeMaintenance::ImportReport> NodeMaintenance::runImport(Job& job, const Import& import) {
  const std::string clean = job.temporary + ".clean";
  const auto normalise = [&]() -> Result<storage::ImportedDatabase> {
    {
      HF_TRY(const auto file, to_.disk.open(job.temporary, OpenMode::kCreateNew));
      const BytesView part = import.database;
      HF_TRY_VOID(file->writeAt(0, std::span(&part, 1)));
    }
    HF_TRY_VOID(storage::normaliseDatabase(job.temporary, clean));
    return storage::readImport(to_.disk, clean);
  };
  Result<storage::ImportedDatabase> imported = normalise();
  for (const std::string& path : {job.temporary, clean}) {
    HF_IGNORE(to_.disk.remove(path), "the next start removes it");
  }
  if (!imported) {
    // The path is ours, and says nothing to who sent the bytes.
    Error error = imported.error();
    if (error.message.starts_with(job.temporary)) error.message.replace(0, job.temporary.size(), "the database");
    return std::unexpected(std::move(error));
  }
  std::string name = import.name;
  if (name.empty()) {
    const auto names = to_.store.tools().alarmNames(import.object.ns);
    if (const auto known = names.find(import.object.id); known != names.end()) name = known->second;
  }

  for (int tries = 0; tries < 3; tries++) {
    // The task may run when this is gone, on a shard that stops: the job and the store are there still.
    to_.shards.resetObject(import.object, [&store = to_.store, key = import.object, self = job.self.lock()] {
      if (self->isCancelled()) return;
      Result<std::unique_ptr<storage::ObjectHold>> hold = store.tools().hold(key);
      if (!hold) return self->deliver(std::unexpected(std::move(hold).error()));
      self->hold = *std::move(hold);
      self->deliver({});
    });
    const Result<void> held = job.waitForAnswer();
    if (held) break;
    if (held.error().code != Errc::kAlreadyExists || tries == 2) return std::unexpected(held.error());
  }
  const std::unique_ptr<storage::ObjectHold> hold = std::move(job.hold);
  HF_CHECK(hold != nullptr, "the shard says so only when it has it");
  const ImportReport report{.bytes = imported->pages.size() * storage::kPageBytes, .alarm = imported->alarm};
  HF_TRY_VOID(hold->replace(std::move(imported->pages), {.at = imported->alarm, .objectName = name}));
  to_.shards.setAlarm(import.object, imported->alarm, name);
  return report;
}

void NodeMaintenance::importObject(Import import, Completion<Result<ImportReport>> done) {
  Result<JobPtr> job = makeJob();
  if (!job) return done(std::unexpected(std::move(job).error()));
  start(*job, [this, import = std::move(import), done = std::move(done)](Job& running) mutable {
    Result<ImportReport> report = runImport(running, import);
    to_.log.info("storage of an object replaced",
                 {{"object", import.object.id.hex()}, {"outcome", report ? "done" : report.error().message}});
    to_.control.post([done = std::move(done), report = std::move(report)]() mutable { done(std::move(report)); });
  });
}

// --- backup

// On the control thread, whose the catalog is.
void NodeMaintenance::stepCatalog(const JobPtr& job, const std::string& path) {
  if (job->channel->isCancelled()) {
    job->catalogBackup.reset();
    return job->deliver(fail(Errc::kCancelled, "nobody reads the backup any more"));
  }
  if (job->catalogBackup == nullptr) {
    auto begun = to_.catalog.beginBackup(path);
    if (!begun) return job->deliver(std::unexpected(std::move(begun).error()));
    job->catalogBackup = *std::move(begun);
  }
  const Result<bool> done = job->catalogBackup->step();
  if (!done || *done) {
    job->catalogBackup.reset();
    return job->deliver(done ? Result<void>() : std::unexpected(done.error()));
  }
  to_.control.post([this, alive = std::weak_ptr(alive_), job, path] {
    if (alive.lock() != nullptr) stepCatalog(job, path);
  });
}

Result<void> NodeMaintenance::copyCatalog(Job& job, const std::string& path) {
  to_.control.post([this, alive = std::weak_ptr(alive_), self = job.self.lock(), path] {
    if (alive.lock() != nullptr) stepCatalog(self, path);
  });
  return job.waitForAnswer();
}

Result<void> NodeMaintenance::runBackup(Job& job, const BackupRequest& request, ledger::LedgerBackup& held) {
  TarSink tar(*job.channel);
  CountingSink sink(tar);
  Manifest manifest{.version = kVersion,
                    .created = catalog::rfc3339(systemClock().wallMs()),
                    .retired = held.retired().value,
                    .withToken = request.withToken};
  // Files first, the ledger after them: whatever state a file was caught in, the records make it right.
  HF_TRY_VOID(sendTree(to_.disk, sink, to_.directory + "/objects", "objects", FileEnds::kAtPages));
  HF_TRY_VOID(sendTree(to_.disk, sink, to_.directory + "/history", "history"));
  if (Result<void> alarms = sendFile(to_.disk, sink, to_.directory + "/alarms", "alarms"); !alarms) {
    if (alarms.error().code != Errc::kNotFound) return alarms;
  }
  HF_TRY(const ledger::LedgerBackup::Parts parts, held.parts());
  manifest.end = parts.end.value;
  for (const ledger::LedgerBackup::Part& part : parts.files) {
    if (part.sourcePath.empty()) {
      HF_TRY_VOID(sendBytes(sink, "ledger/" + part.name, part.bytes));
    } else {
      HF_TRY_VOID(sendFile(to_.disk, sink, part.sourcePath, "ledger/" + part.name, part.fileBytes, part.usedBytes));
    }
  }
  if (request.withToken) {
    Result<void> token = sendFile(to_.disk, sink, to_.directory + "/" + kTokenName, kTokenName);
    if (!token && token.error().code != Errc::kNotFound) return token;
    manifest.withToken = token.has_value();
  }
  // Last, so that it knows every class whose objects are in the backup.
  const std::string copy = job.temporary + ".catalog";
  Result<void> sent = copyCatalog(job, copy);
  if (sent) sent = sendFile(to_.disk, sink, copy, "catalog.sqlite");
  HF_IGNORE(to_.disk.remove(copy), "the next start removes it");
  HF_TRY_VOID(std::move(sent));
  manifest.files = sink.files;
  manifest.bytes = sink.bytes;
  HF_TRY_VOID(sendBytes(tar, kManifestName, asBytes(manifestText(manifest))));
  return tar.finish();
}

void NodeMaintenance::backup(BackupRequest request, Completion<Result<StreamPtr>> done) {
  Result<JobPtr> made = makeJob();
  if (!made) return done(std::unexpected(std::move(made).error()));
  auto begun = to_.store.ledger().beginBackup();
  if (!begun) return done(std::unexpected(std::move(begun).error()));
  start(*made, [this, request, held = *std::move(begun)](Job& job) mutable {
    Result<void> sent = runBackup(job, request, *held);
    to_.log.info("backup", {{"outcome", sent ? "done" : sent.error().message}});
    job.channel->close(std::move(sent));
  });
  done(ByteChannel::readerOf((*made)->channel));
}

}  // namespace hf::server
