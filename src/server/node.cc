#include "server/node.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "api/api_server.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/fault_disk.h"
#include "base/limits.h"
#include "base/random.h"
#include "catalog/catalog.h"
#include "gateway/front_door.h"
#include "hf_runtime_js.h"
#include "js/platform.h"
#include "js/watchdog.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "server/directory.h"
#include "server/maintenance.h"
#include "server/runtime_adapter.h"
#include "storage/store.h"
#include "worker/shards.h"

namespace hf::server {
namespace {

// What a recovery reads in a second, on a slow machine: half of what storage_bench measures on ours.
constexpr std::uint64_t kRecoveryBytesPerSecond = 16ULL * 1024 * 1024;

std::uint64_t ledgerBytesFor(std::chrono::seconds recoveryTime) {
  return static_cast<std::uint64_t>(recoveryTime.count()) * kRecoveryBytesPerSecond;
}

// What the front door of one shard hands requests to.
class ShardTarget final : public gateway::Target {
 public:
  ShardTarget(worker::Shards& shards, unsigned shard) : shards_(shards), shard_(shard) {}

  [[nodiscard]] bool hasScript(std::string_view name) const override {
    const catalog::Snapshot& snapshot = shards_.snapshot(shard_);
    const auto it = snapshot.scripts.find(name);
    return it != snapshot.scripts.end() && !it->second.parts.empty();
  }
  void fetch(gateway::ScriptRequest request) override {
    shards_.fetch(shard_, {.script = std::move(request.script),
                           .method = std::move(request.method),
                           .url = std::move(request.url),
                           .headers = std::move(request.headers),
                           .exchange = std::move(request.exchange)});
  }

 private:
  worker::Shards& shards_;
  const unsigned shard_;
};

// Tests do not wait until an object has been idle for ten seconds (docs/debugging.md).
std::chrono::milliseconds testSecond() {
  const char* text = std::getenv("HOLDFAST_TEST_SECOND_MS");
  return std::chrono::milliseconds(text == nullptr ? 1000 : std::clamp(std::atoi(text), 1, 1000));
}

class NodeImpl final : public Node, public ledger::DurabilityListener {
 public:
  NodeImpl(js::Platform& platform, const Log& log, ServeOptions options, std::function<void(int)> finished)
      : platform_(platform), log_(log), options_(std::move(options)), finished_(std::move(finished)), thread_([this] {
          run();
        }) {}

  ~NodeImpl() override { thread_.join(); }

  void signal() override {
    loop_.post([this] {
      if (draining_) {
        log_.warn("second signal: leaving at once");
        std::_Exit(130);
      }
      drain();
    });
  }

  // DurabilityListener of the control thread: only the end of durability matters here.
  void onDurable(ledger::Position /*durable*/) override {}
  void onPoisoned(const Error& why) override {
    log_.error("storage failed: nothing is acknowledged any more", {{"error", why.message}});
    if (api_ != nullptr) api_->setHealth(false, why.message);
    exitCode_ = kExitStorageFailed;
    // What still waits, waits for commits that will never be durable.
    if (!draining_) drain(std::chrono::seconds(1));
  }

 private:
  void run() {
    const auto begin = [this] {
      if (draining_) return;
      if (Result<void> started = start(); !started) {
        std::fprintf(stderr, "holdfast: %s\n", started.error().message.c_str());
        exitCode_ = kExitStartFailed;
        stop();
      }
    };
    if (options_.wait.count() == 0) {
      loop_.post(begin);
    } else {
      loop_.addTimer(systemClock().steady() + options_.wait, begin);
    }
    loop_.run();
    finished_(exitCode_);
  }

  Result<void> start() {
    HF_TRY(lock_, DirectoryLock::take(options_.directory));
    if (options_.token.empty()) {
      HF_TRY(options_.token, readOrMakeToken(options_.directory));
    }
    disk_ = &systemDisk();
    // Tests hold and fail the real server's file operations through it (docs/debugging.md).
    if (const char* control = std::getenv("HOLDFAST_TEST_DISK"); control != nullptr && *control != '\0') {
      log_.warn("file operations are under the control of a test", {{"directory", control}});
      faultDisk_ = std::make_unique<FaultDisk>(systemDisk(), control);
      disk_ = faultDisk_.get();
    }
    HF_TRY(store_, storage::openStore(*disk_, systemClock(), log_,
                                      {.directory = options_.directory,
                                       .overlayBytesMax = options_.overlayBytesMax,
                                       .ledgerBytesMax = ledgerBytesFor(options_.recoveryTime),
                                       .historyRetention = options_.historyRetention}));
    store_->ledger().addListener(loop_, *this);
    const std::string catalogFile = options_.directory + "/catalog.sqlite";
    auto opened = catalog::openCatalog(systemClock(), {.file = catalogFile, .accountId = options_.accountId});
    if (!opened) return fail(opened.error().code, catalogFile + ": " + opened.error().message);
    catalog_ = *std::move(opened);
    watchdog_ = std::make_unique<js::Watchdog>(log_);
    HF_TRY(shards_,
           worker::createShards(
               {.platform = platform_, .watchdog = *watchdog_, .store = *store_, .log = log_, .clock = systemClock()},
               {.count = options_.shards, .second = testSecond(), .runtimeSource = std::string(runtimeJs())}));
    shards_->start();
    runtime_ = std::make_unique<RuntimeAdapter>(*shards_, *store_, *catalog_, loop_);
    maintenance_ = std::make_unique<NodeMaintenance>(NodeMaintenance::Dependencies{.disk = *disk_,
                                                                                   .directory = options_.directory,
                                                                                   .store = *store_,
                                                                                   .catalog = *catalog_,
                                                                                   .shards = *shards_,
                                                                                   .control = loop_,
                                                                                   .log = log_});
    runtime_->activate(catalog_->snapshot(), [this](Result<void> activated) {
      Result<void> listening = activated ? listen() : activated;
      if (listening || draining_) return;
      std::fprintf(stderr, "holdfast: %s\n", listening.error().message.c_str());
      exitCode_ = kExitStartFailed;
      drain();
    });
    return {};
  }

  Result<void> listen() {
    std::uint16_t port = options_.listen.port;
    for (unsigned i = 0; i < options_.shards; i++) {
      targets_.push_back(std::make_unique<ShardTarget>(*shards_, i));
      doors_.push_back(std::make_unique<gateway::FrontDoor>(
          *targets_[i], gateway::FrontDoorOptions{.domain = options_.domain, .defaultScript = options_.defaultScript},
          i));
      net::HttpServerOptions http;
      http.host = options_.listen.host;
      http.port = port;
      http.webSocketDeflate = options_.webSocketCompression;
      http.sharing = i == 0 ? net::PortSharing::kFirst : net::PortSharing::kJoin;
      HF_TRY(std::unique_ptr<net::HttpServer> server, net::HttpServer::create(shards_->loop(i), *doors_[i], http));
      port = server->port();
      servers_.push_back(std::move(server));
    }
    options_.listen.port = port;
    api_ = api::makeApiServer(loop_, *catalog_, *runtime_, log_, systemClock(), systemRandom(),
                              {.accountId = options_.accountId,
                               .token = options_.token,
                               .domain = options_.domain,
                               .publicPort = port,
                               .version = kVersion,
                               .health = [this] { return store_->health(); },
                               .maintenance = maintenance_.get()});
    HF_TRY(options_.api.port, api_->start(options_.api.host, options_.api.port));
    HF_TRY_VOID(writeNodeInfo(options_.directory, {.api = options_.api.text(),
                                                   .listen = options_.listen.text(),
                                                   .accountId = options_.accountId,
                                                   .token = options_.token}));
    // One line on standard output, for people and for scripts that wait for it.
    std::printf("holdfast %s ready: workers http://%s api http://%s/client/v4\n", kVersion,
                options_.listen.text().c_str(), options_.api.text().c_str());
    std::fflush(stdout);
    return {};
  }

  // --- the end

  void drain(std::chrono::seconds limit = limits::kDrainTimeout) {
    draining_ = true;
    log_.info("draining");
    loop_.addTimer(systemClock().steady() + limit, [this] {
      if (stopping_) return;
      log_.warn("requests still run after the drain limit; they are cut");
      stop();
    });
    waiting_ = servers_.size() + 1 + (api_ != nullptr ? 1 : 0);
    for (unsigned i = 0; i < servers_.size(); i++) {
      net::HttpServer* server = servers_[i].get();
      shards_->loop(i).post([this, server] { server->drain([this] { loop_.post([this] { drainedOne(); }); }); });
    }
    if (maintenance_ != nullptr) maintenance_->cancelStreams();
    if (api_ != nullptr) api_->drain([this](Result<void>) { drainedOne(); });
    if (shards_ != nullptr) {
      shards_->drain(loop_, [this](Result<void>) { drainedOne(); });
    } else {
      drainedOne();
    }
  }

  void drainedOne() {
    if (--waiting_ == 0) stop();
  }

  void stop() {
    if (std::exchange(stopping_, true)) return;
    // Listeners and connections end on their own threads, before these stop.
    for (unsigned i = 0; i < servers_.size(); i++) {
      shards_->loop(i).post([server = std::move(servers_[i])]() mutable { server.reset(); });
    }
    servers_.clear();
    if (store_ != nullptr) store_->stopJobs();
    maintenance_.reset();  // its jobs may wait for a shard
    if (shards_ != nullptr) shards_->stop();
    api_.reset();
    runtime_.reset();
    shards_.reset();
    doors_.clear();
    targets_.clear();
    if (store_ != nullptr) {
      store_->ledger().removeListener(*this);
      if (Result<void> closed = store_->close(); !closed) {
        log_.error("storage did not close cleanly; the next start recovers", {{"error", closed.error().message}});
        if (exitCode_ == kExitOk) exitCode_ = kExitStorageFailed;
      }
    }
    store_.reset();
    catalog_.reset();
    watchdog_.reset();
    lock_.reset();
    log_.info("stopped");
    loop_.stop();
  }

  // Fixed once made
  js::Platform& platform_;
  const Log& log_;
  ServeOptions options_;
  const std::function<void(int)> finished_;
  net::EventLoop loop_;
  // Control thread only, in the order they are built
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<FaultDisk> faultDisk_;
  Disk* disk_ = nullptr;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<js::Watchdog> watchdog_;
  std::unique_ptr<worker::Shards> shards_;
  std::unique_ptr<RuntimeAdapter> runtime_;
  std::unique_ptr<NodeMaintenance> maintenance_;
  std::vector<std::unique_ptr<ShardTarget>> targets_;
  std::vector<std::unique_ptr<gateway::FrontDoor>> doors_;
  std::vector<std::unique_ptr<net::HttpServer>> servers_;
  std::unique_ptr<api::ApiServer> api_;
  std::size_t waiting_ = 0;
  int exitCode_ = kExitOk;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Node> startNode(js::Platform& platform, const Log& log, ServeOptions options,
                                std::function<void(int exitCode)> finished) {
  return std::make_unique<NodeImpl>(platform, log, std::move(options), std::move(finished));
}

}  // namespace hf::server
