// One turn of one object: calls of its database in an order that chance gives, each mirrored in a copy of the object's
// state.
#pragma once

#include <optional>
#include <string>

#include "sim/shard.h"

namespace hf::sim {

class Turn final {
 public:
  Turn(Shard& shard, std::size_t object, storage::Database& db);

  // Each: whether all went well. If not, `error` is what the database said, or `wrong` what it should not have done.
  bool run();
  // The same, without end(); and a further turn before it, which may be rolled back.
  bool work();
  bool furtherTurn();
  bool put(std::uint32_t key, ValueId value);
  bool setAlarm(std::optional<WallMs> at);
  // Commits what there is.
  bool end();

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  [[nodiscard]] const std::optional<ledger::Position>& position() const { return position_; }
  [[nodiscard]] const ObjectState& state() const { return state_; }
  [[nodiscard]] std::size_t object() const { return object_; }
  [[nodiscard]] storage::Database& database() const { return db_; }

 private:
  bool changes(int depth, bool isSync);
  bool change();
  bool explicitTransaction(int depth);
  bool syncTransaction(int depth);
  bool deleteAll();
  bool insertRow();
  bool removeRow();
  bool removeKey();
  bool readKey();
  bool exec(const char* sql, std::vector<storage::SqlValue> bindings);
  ValueId newValue();

  template <class T>
  bool went(const Result<T>& result);
  // For calls that may commit: notes the commit if there is one.
  template <class F>
  bool mayCommit(const F& call);
  bool isWrong(std::string text);

  Shard& shard_;
  World& world_;
  const std::size_t object_;
  storage::Database& db_;
  ObjectState state_;
  std::optional<Error> error_;
  std::string wrong_;
  std::optional<ledger::Position> position_;
};

}  // namespace hf::sim
