// What the objects should hold: every commit of every object with the position at which the ledger accepted it, and how
// far the outside world was told. After a recovery that ends at position T, every object must be as its last commit at
// or before T left it, and T must not lie before anything that was acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::sim {

// Values are known by a number, which says what they hold.
using ValueId = std::uint32_t;
std::string valueText(ValueId id);
// A new one of a kind of size: small ones fit into a page many times, large ones take many pages.
enum class ValueSize : std::uint8_t { kSmall, kPages, kLarge };
ValueId valueId(std::uint32_t number, ValueSize size);
std::string keyText(std::uint32_t key);

struct ObjectState {
  std::map<std::uint32_t, ValueId> kv;
  std::map<std::int64_t, ValueId> rows;
  bool hasTable = false;
  std::optional<WallMs> alarm;
  friend bool operator==(const ObjectState&, const ObjectState&) = default;
};
// The first difference, for a person; empty if there is none.
std::string difference(const ObjectState& expected, const ObjectState& found);

struct Commit {
  std::uint64_t end = 0;
  ObjectState state;
  bool isNothing = false;  // never written, or deleted with its namespace
  bool isRestoration = false;
};

// What an object is to be taken back to: its state at a position, or what it was before the restoration that followed.
struct Wanted {
  std::uint64_t position = 0;
  bool isUndo = false;
};

struct RestoreEvent {
  std::uint64_t end = 0;
  std::optional<Wanted> wanted;  // nullopt: carried out, given up, or deleted
};

struct ModelObject {
  ObjectKey key;
  std::string name;
  std::vector<RestoreEvent> restores;
  std::vector<Commit> history;  // never empty: it begins with what was there before
};

class Model final {
 public:
  Model(std::size_t namespaces, std::size_t objectsPerNamespace);

  [[nodiscard]] std::size_t size() const { return objects_.size(); }
  [[nodiscard]] const ModelObject& object(std::size_t i) const { return objects_[i]; }
  [[nodiscard]] const ObjectState& state(std::size_t i) const { return objects_[i].history.back().state; }
  [[nodiscard]] std::uint64_t lastEnd(std::size_t i) const { return objects_[i].history.back().end; }
  [[nodiscard]] bool isNothing(std::size_t i) const { return objects_[i].history.back().isNothing; }
  [[nodiscard]] std::size_t alarms() const;
  [[nodiscard]] std::size_t namespaces() const { return namespaces_; }
  [[nodiscard]] static NamespaceId namespaceId(std::size_t ns);
  [[nodiscard]] std::optional<std::size_t> find(const ObjectKey& key) const;

  void committed(std::size_t i, std::uint64_t end, ObjectState state);
  void restoreRequested(std::size_t i, std::uint64_t end, std::optional<Wanted> wanted);
  void restored(std::size_t i, std::uint64_t end, ObjectState state);
  // What is to be done when the object is opened next.
  [[nodiscard]] std::optional<Wanted> pendingRestore(std::size_t i) const;
  [[nodiscard]] const ObjectState& past(std::size_t i, const Wanted& wanted) const;
  void namespaceDeleted(std::size_t ns, std::uint64_t end);
  // The world knows of everything up to `end`.
  void acknowledged(std::uint64_t end);
  [[nodiscard]] std::uint64_t acknowledgedUpTo() const { return acknowledged_; }
  void acknowledgedAll() { acknowledged_ = newest_; }
  // It is known why nothing after `end` can be found any more.
  void forgetAcknowledged(std::uint64_t end) { acknowledged_ = end; }
  // Recovery found the ledger up to `tail`. An error says what is missing. What comes after `tail` has never been.
  Result<void> recovered(std::uint64_t tail);

 private:
  const std::size_t namespaces_;
  std::vector<ModelObject> objects_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t newest_ = 0;  // end of the newest commit
};

}  // namespace hf::sim
