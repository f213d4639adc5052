// What Holdfast's own endpoints (/holdfast/...) ask of the node: copies of it and of single objects. Implemented by
// server/.
// Thread:  called on the control thread; completions run there too. The work is done on threads of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/object_id.h"
#include "base/result.h"

namespace hf::api {

// Bytes that somebody makes as they are taken. Dropping it ends the making.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // The next piece; empty: the end. One at a time.
  virtual void read(Completion<Result<Bytes>> done) = 0;
};

class Maintenance {
 public:
  virtual ~Maintenance() = default;

  // Two owners: who reads it and who sends it.
  using StreamPtr = std::shared_ptr<ByteStream>;

  struct ObjectDetail {
    ObjectId id;
    std::uint64_t bytes = 0;
    std::string name;  // of objects with an alarm only
  };
  // In order of id, after `after`; those without data have 0 bytes.
  virtual void listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                           Completion<Result<std::vector<ObjectDetail>>> done) = 0;

  // A plain SQLite file. kNotFound: the object stores nothing. kOverloaded: too many such jobs run.
  virtual void exportObject(ObjectKey object, Completion<Result<StreamPtr>> done) = 0;

  struct Import {
    ObjectKey object;
    std::string name;  // by which it was reached; empty: not known
    Bytes database;
  };
  struct ImportReport {
    std::uint64_t bytes = 0;
    std::optional<WallMs> alarm;
  };
  // Resets the object and replaces its storage, durably. kInvalidArgument, kLimit: the database is not one for an
  // object.
  virtual void importObject(Import import, Completion<Result<ImportReport>> done) = 0;

  struct BackupRequest {
    bool withToken = false;
  };
  // An archive (ustar) of everything, consistent as of a moment near its end.
  virtual void backup(BackupRequest request, Completion<Result<StreamPtr>> done) = 0;

  struct HistorySize {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
  };
  virtual void historySize(Completion<Result<HistorySize>> done) = 0;
};

}  // namespace hf::api
