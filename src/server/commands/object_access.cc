#include "server/commands/object_access.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "catalog/namespaces.h"
#include "net/url.h"
#include "server/commands/admin_client.h"
#include "storage/import_database.h"
#include "storage/read_only_store.h"
#include "storage/store.h"
#include "storage/store_tools.h"

namespace hf::server {
namespace {

constexpr std::size_t kPageObjects = 1000;

// A namespace that the catalog does not know may still have data, and its id names it.
Result<catalog::Namespace> localNamespace(const std::string& directory, const std::string& text) {
  HF_TRY(const auto namespaces, readNamespaces(directory));
  Result<catalog::Namespace> found = catalog::findNamespace(namespaces, text);
  if (found || found.error().code != Errc::kNotFound) return found;
  const Result<NamespaceId> id = NamespaceId::parse(text);
  if (!id) return found;
  const Result<bool> hasFiles = toolDisk().exists(directory + "/objects/" + id->hex());
  if (!hasFiles || !*hasFiles) return found;
  return catalog::Namespace{.id = *id, .name = "", .script = "", .className = ""};
}

class LocalObjects final : public ObjectAccess {
 public:
  LocalObjects(LocalTarget target, catalog::Namespace ns) : target_(std::move(target)), ns_(std::move(ns)) {}

  // Not for replace(), which opens the directory as a server does.
  Result<void> openReadOnly() {
    HF_TRY(store_, storage::openStoreReadOnly(toolDisk(), target_.directory));
    if (!store_->findings().empty()) {
      return fail(Errc::kCorrupt, target_.directory + " is damaged: " + findingText(store_->findings().front()) +
                                      " (holdfast ledger verify says more)");
    }
    return {};
  }

  [[nodiscard]] const catalog::Namespace& ns() const override { return ns_; }

  Result<void> list(std::optional<ObjectId> after, std::size_t limit,
                    const std::function<void(const ListedObject&)>& each) override {
    std::map<ObjectId, std::string> names;
    for (storage::ScheduledAlarm& alarm : store_->alarms()) {
      if (alarm.object.ns == ns_.id) names[alarm.object.id] = std::move(alarm.objectName);
    }
    std::size_t count = 0;
    while (true) {
      HF_TRY(const auto objects, store_->listObjects(ns_.id, after, kPageObjects));
      if (objects.empty()) return {};
      after = objects.back().id;
      for (const storage::StoredObject& object : objects) {
        HF_TRY(const auto image, store_->image({.ns = ns_.id, .id = object.id}));
        if (!image) continue;
        const auto name = names.find(object.id);
        each({.id = object.id, .bytes = image->bytes(), .name = name == names.end() ? "" : name->second});
        if (++count == limit) return {};
      }
    }
  }

  Result<void> copyTo(const ObjectId& object, File& out, const Bytes64& progress) override {
    HF_TRY(const auto image, store_->image({.ns = ns_.id, .id = object}));
    if (!image) return fail(Errc::kNotFound, "the object " + object.hex() + " stores nothing");
    return image->copyTo(out, progress);
  }

  Result<ImportReport> replace(const ObjectId& object, const std::string& name, const std::string& file,
                               const Bytes64& /*progress*/) override {
    HF_TRY(storage::ImportedDatabase imported, storage::readImport(toolDisk(), file));
    const Log log(STDERR_FILENO, LogFormat::kText, LogLevel::kError);
    HF_TRY(const auto store, storage::openStore(toolDisk(), systemClock(), log, {.directory = target_.directory}));
    ImportReport report{.bytes = imported.pages.size() * storage::kPageBytes, .alarm = imported.alarm};
    Result<void> done = [&]() -> Result<void> {
      const ObjectKey key{.ns = ns_.id, .id = object};
      const auto names = store->tools().alarmNames(ns_.id);
      const auto known = names.find(object);
      HF_TRY(const auto hold, store->tools().hold(key));
      return hold->replace(
          std::move(imported.pages),
          {.at = imported.alarm, .objectName = name.empty() && known != names.end() ? known->second : name});
    }();
    const Result<void> closed = store->close();
    if (!done) return std::unexpected(std::move(done).error());
    if (!closed) return std::unexpected(closed.error());
    return report;
  }

 private:
  const LocalTarget target_;
  const catalog::Namespace ns_;
  std::unique_ptr<storage::ReadOnlyStore> store_;
};

class RemoteObjects final : public ObjectAccess {
 public:
  explicit RemoteObjects(RemoteTarget target) : target_(std::move(target)), client_(target_) {}

  Result<void> resolve(const std::string& text) {
    HF_TRY(const OutputJson found, client_.get("/namespaces/" + net::percentEncode(text)));
    if (!found.is_object()) return fail(Errc::kInvalidArgument, "the server's answer is not one of a Holdfast");
    HF_TRY(ns_.id, NamespaceId::parse(found.value("id", "")));
    ns_.name = found.value("name", "");
    ns_.script = found.value("script", "");
    ns_.className = found.value("class", "");
    return {};
  }

  [[nodiscard]] const catalog::Namespace& ns() const override { return ns_; }

  Result<void> list(std::optional<ObjectId> after, std::size_t limit,
                    const std::function<void(const ListedObject&)>& each) override {
    std::size_t count = 0;
    while (true) {
      const std::string query = "?limit=" + std::to_string(kPageObjects) + (after ? "&after=" + after->hex() : "");
      HF_TRY(const OutputJson page, client_.get("/namespaces/" + ns_.id.hex() + "/objects" + query));
      if (!page.is_array() || page.empty()) return {};
      for (const OutputJson& entry : page) {
        ListedObject object;
        if (!entry.is_object() || !fromHex(entry.value("id", ""), object.id.bytes)) {
          return fail(Errc::kInvalidArgument, "the server's answer is not one of a Holdfast");
        }
        object.bytes = entry.value("bytes", std::uint64_t{0});
        object.name = entry.value("name", "");
        after = object.id;
        if (object.bytes == 0) continue;
        each(object);
        if (++count == limit) return {};
      }
    }
  }

  Result<void> copyTo(const ObjectId& object, File& out, const Bytes64& progress) override {
    HF_TRY(const auto answer, client_.stream("GET", pathOf(object)));
    Bytes piece(256UL * 1024);
    for (std::uint64_t at = 0;;) {
      HF_TRY(const std::size_t got, answer->read(piece));
      if (got == 0) return {};
      const BytesView part = BytesView(piece).first(got);
      HF_TRY_VOID(out.writeAt(at, std::span(&part, 1)));
      at += got;
      HF_TRY_VOID(progress(at));
    }
  }

  Result<ImportReport> replace(const ObjectId& object, const std::string& name, const std::string& file,
                               const Bytes64& progress) override {
    HF_TRY(const auto source, toolDisk().open(file, OpenMode::kRead));
    HF_TRY(const std::uint64_t bytes, source->size());
    std::uint64_t at = 0;
    HF_TRY(const OutputJson result,
           client_.put(pathOf(object) + (name.empty() ? "" : "?name=" + net::percentEncode(name)), bytes,
                       [&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                         HF_TRY(const std::size_t got, source->readAt(at, out));
                         at += got;
                         HF_TRY_VOID(progress(at));
                         return got;
                       }));
    ImportReport report;
    if (result.is_object()) {
      report.bytes = result.value("bytes", std::uint64_t{0});
      if (result.contains("alarm") && result["alarm"].is_number_integer()) report.alarm = result["alarm"].get<WallMs>();
    }
    return report;
  }

 private:
  [[nodiscard]] std::string pathOf(const ObjectId& object) const {
    return "/namespaces/" + ns_.id.hex() + "/objects/" + object.hex() + "/database";
  }

  const RemoteTarget target_;
  const AdminClient client_;
  catalog::Namespace ns_;
};

}  // namespace

Result<std::unique_ptr<ObjectAccess>> openObjects(const ObjectOptions& options, Access access) {
  HF_TRY(Target target, findTarget(options.where, options.server, access));
  if (auto* remote = std::get_if<RemoteTarget>(&target)) {
    auto objects = std::make_unique<RemoteObjects>(std::move(*remote));
    HF_TRY_VOID(objects->resolve(options.ns));
    return objects;
  }
  auto& local = std::get<LocalTarget>(target);
  HF_TRY(catalog::Namespace ns, localNamespace(local.directory, options.ns));
  auto objects = std::make_unique<LocalObjects>(std::move(local), std::move(ns));
  if (access == Access::kRead) HF_TRY_VOID(objects->openReadOnly());
  return objects;
}

Result<NamedObject> namedObject(const ObjectAccess& access, const ObjectOptions& options) {
  NamedObject named;
  HF_TRY(named.id, parseObject(access.ns().id, options.object, options.naming));
  if (options.naming == ObjectNaming::kName || NamespaceIds(access.ns().id.hex()).isNamed(named.id, options.object)) {
    named.name = options.object;
  }
  return named;
}

Result<std::uint64_t> exportObject(ObjectAccess& access, const ObjectId& object, const std::string& path,
                                   Progress& progress) {
  Disk& disk = toolDisk();
  const std::string partial = path + ".partial";
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  std::uint64_t bytes = 0;
  const auto copy = [&]() -> Result<void> {
    HF_TRY(const auto file, disk.open(partial, OpenMode::kCreate));
    HF_TRY_VOID(file->truncate(0));
    HF_TRY_VOID(access.copyTo(object, *file, [&](std::uint64_t done) -> Result<void> {
      progress.update(done);
      return {};
    }));
    HF_TRY(bytes, file->size());
    return file->sync();
  };
  if (Result<void> copied = copy(); !copied) {
    HF_IGNORE(disk.remove(partial), "it is of no use, and its name says so");
    return std::unexpected(std::move(copied).error());
  }
  HF_TRY_VOID(disk.rename(partial, path));
  HF_TRY_VOID(disk.syncDirectory(parent));
  return bytes;
}

}  // namespace hf::server
