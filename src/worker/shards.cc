#include "worker/shards.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "worker/isolate.h"
#include "worker/shard.h"

namespace hf::worker {
namespace {

// Calls `done` once, on `control`, when every shard has answered.
class Gather final : public std::enable_shared_from_this<Gather> {
 public:
  Gather(std::size_t expected, Executor& control, Completion<Result<void>> done)
      : missing_(expected), control_(control), done_(std::move(done)) {}

  // Any thread.
  void answer() {
    control_.post([self = shared_from_this()] {
      if (--self->missing_ == 0) std::exchange(self->done_, nullptr)({});
    });
  }

 private:
  std::size_t missing_;  // control thread only
  Executor& control_;
  Completion<Result<void>> done_;
};

// Shards 0 .. count-1 serve; the one after them only starts code that is being deployed, so that a script which never
// finishes starting holds up nobody.
class ShardsImpl final : public Shards, public ShardGroup {
 public:
  ShardsImpl(ShardsDependencies dependencies, ShardsOptions options)
      : dependencies_(dependencies),
        options_(std::move(options)),
        runtimeScript_("holdfast:runtime", options_.runtimeSource) {
    for (unsigned i = 0; i <= options_.count; i++) {
      shards_.push_back(std::make_unique<Shard>(i, *this, dependencies_, options_, runtimeScript_));
    }
  }

  ~ShardsImpl() override { HF_CHECK(!running_, "stop() comes before the end"); }

  [[nodiscard]] unsigned count() const override { return options_.count; }
  [[nodiscard]] unsigned servingCount() const override { return options_.count; }
  [[nodiscard]] Shard& shard(unsigned index) override { return *shards_.at(index); }
  [[nodiscard]] net::EventLoop& loop(unsigned index) override { return shards_.at(index)->loop(); }
  [[nodiscard]] Executor& executorOf(unsigned index) override { return shards_.at(index)->loop(); }
  [[nodiscard]] web::PipeTable& pipesOf(unsigned index) override { return shards_.at(index)->pipes(); }
  [[nodiscard]] const catalog::Snapshot& snapshot(unsigned index) const override {
    return shards_.at(index)->snapshot();
  }

  void start() override {
    for (storage::ScheduledAlarm& alarm : dependencies_.store.recoveredAlarms()) {
      recovered_.push_back(std::move(alarm));
    }
    for (unsigned i = 0; i < options_.count; i++) {
      dependencies_.store.ledger().addListener(shards_[i]->loop(), *shards_[i]);
    }
    for (const auto& shard : shards_) shard->start();
    running_ = true;
  }

  void fetch(unsigned index, FetchRequest request) override { shards_.at(index)->fetch(std::move(request)); }

  void activate(catalog::SnapshotPtr snapshot, Executor& control, Completion<Result<void>> done) override {
    const auto gather = std::make_shared<Gather>(options_.count, control, std::move(done));
    // Alarms wait for the first snapshot: before it nobody could run them.
    std::vector<storage::ScheduledAlarm> alarms = std::exchange(recovered_, {});
    for (unsigned i = 0; i < options_.count; i++) {
      Shard* shard = shards_[i].get();
      std::vector<storage::ScheduledAlarm> own;
      for (const storage::ScheduledAlarm& alarm : alarms) {
        if (actor::shardOfObject(alarm.object.id, options_.count) == i) own.push_back(alarm);
      }
      shard->loop().post([shard, snapshot, gather, own = std::move(own)]() mutable {
        shard->activate(std::move(snapshot));
        for (storage::ScheduledAlarm& alarm : own) shard->scheduleAlarm(std::move(alarm));
        gather->answer();
      });
    }
  }

  void check(std::shared_ptr<const catalog::Version> version, catalog::SnapshotPtr snapshot, Executor& control,
             Completion<Result<CheckReport>> done) override {
    Shard* shard = shards_.back().get();
    shard->loop().post([shard, version = std::move(version), snapshot = std::move(snapshot), &control,
                        done = std::move(done)]() mutable {
      auto report = shard->check(std::move(version), std::move(snapshot));
      control.post([done = std::move(done), report = std::move(report)]() mutable { done(std::move(report)); });
    });
  }

  void resetNamespaces(std::vector<NamespaceId> namespaces, Executor& control, Completion<Result<void>> done) override {
    onEveryShard(control, std::move(done), [namespaces](Shard& shard, Task answer) {
      shard.resetNamespaces(namespaces);
      answer();
    });
  }

  void resetObject(const ObjectKey& object, Task then) override {
    Shard* shard = shards_[actor::shardOfObject(object.id, options_.count)].get();
    shard->loop().post(
        [shard, object, then = std::move(then)]() mutable { shard->resetObject(object, std::move(then)); });
  }

  void setAlarm(const ObjectKey& object, std::optional<WallMs> at, std::string name) override {
    Shard* shard = shards_[actor::shardOfObject(object.id, options_.count)].get();
    shard->loop().post([shard, object, at, name = std::move(name)] { shard->alarmStored(object, at, name); });
  }

  void drain(Executor& control, Completion<Result<void>> done) override {
    onEveryShard(control, std::move(done), [](Shard& shard, Task answer) { shard.drain(std::move(answer)); });
  }

  void stop() override {
    if (!std::exchange(running_, false)) return;
    for (unsigned i = 0; i < options_.count; i++) dependencies_.store.ledger().removeListener(*shards_[i]);
    for (const auto& owned : shards_) {
      Shard* shard = owned.get();
      shard->loop().post([shard] {
        // A turn that is suspended ends first.
        shard->loop().postOutermost([shard] {
          shard->clear();
          shard->loop().stop();
        });
      });
    }
    for (const auto& shard : shards_) shard->join();
  }

 private:
  template <class F>
  void onEveryShard(Executor& control, Completion<Result<void>> done, F each) {
    const auto gather = std::make_shared<Gather>(options_.count, control, std::move(done));
    for (unsigned i = 0; i < options_.count; i++) {
      Shard* shard = shards_[i].get();
      shard->loop().post([shard, gather, each] { each(*shard, [gather] { gather->answer(); }); });
    }
  }

  // Fixed once made
  const ShardsDependencies dependencies_;
  const ShardsOptions options_;
  js::CachedScript runtimeScript_;
  std::vector<std::unique_ptr<Shard>> shards_;
  // Control thread only
  std::vector<storage::ScheduledAlarm> recovered_;
  bool running_ = false;
};

}  // namespace

Result<std::unique_ptr<Shards>> createShards(ShardsDependencies dependencies, ShardsOptions options) {
  if (options.count == 0 || options.count > 128) {
    return fail(Errc::kInvalidArgument, "--shards is a number from 1 to 128, got " + std::to_string(options.count));
  }
  if (options.runtimeSource.empty()) return fail(Errc::kInternal, "the runtime's JavaScript is missing");
  return std::unique_ptr<Shards>(std::make_unique<ShardsImpl>(dependencies, std::move(options)));
}

}  // namespace hf::worker
