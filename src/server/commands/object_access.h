// Objects of a stopped server's directory or of a running server, alike.
// Thread:  one. Blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "catalog/snapshot.h"
#include "server/commands/commands.h"

namespace hf::server {

struct ListedObject {
  ObjectId id;
  std::uint64_t bytes = 0;
  std::string name;  // known of objects with an alarm only
};

struct ImportReport {
  std::uint64_t bytes = 0;
  std::optional<WallMs> alarm;
};

class ObjectAccess {
 public:
  using Bytes64 = std::function<Result<void>(std::uint64_t)>;
  virtual ~ObjectAccess() = default;

  [[nodiscard]] virtual const catalog::Namespace& ns() const = 0;
  // In order of id; `each` until there are `limit` (0: no limit).
  virtual Result<void> list(std::optional<ObjectId> after, std::size_t limit,
                            const std::function<void(const ListedObject&)>& each) = 0;
  // A plain SQLite file into the empty `out`, unsynced. kNotFound: it stores nothing.
  virtual Result<void> copyTo(const ObjectId& object, File& out, const Bytes64& progress) = 0;
  // `file` is what storage::normaliseDatabase has made. `name`: by which it was reached, empty if that is not known.
  virtual Result<ImportReport> replace(const ObjectId& object, const std::string& name, const std::string& file,
                                       const Bytes64& progress) = 0;
};

// The namespace of `options`, wherever it is. kWrite: replace() will be called.
Result<std::unique_ptr<ObjectAccess>> openObjects(const ObjectOptions& options, Access access);

// The object that `options` names, and the name if it was given by one.
struct NamedObject {
  ObjectId id;
  std::string name;
};
Result<NamedObject> namedObject(const ObjectAccess& access, const ObjectOptions& options);

// Copies the object to `path`, whole and durable or not at all (PATH.partial is what is left of a copy that was cut).
Result<std::uint64_t> exportObject(ObjectAccess& access, const ObjectId& object, const std::string& path,
                                   Progress& progress);

}  // namespace hf::server
