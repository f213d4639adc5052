#include "sim/model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/random.h"

namespace hf::sim {

ValueId valueId(std::uint32_t number, ValueSize size) { return number * 4 + static_cast<std::uint32_t>(size); }

std::string valueText(ValueId id) {
  SeededRandom random(id);
  const auto size = static_cast<ValueSize>(id % 4);
  std::size_t bytes = random.below(100);
  if (size == ValueSize::kPages) bytes = 1500 + random.below(9000);
  if (size == ValueSize::kLarge) bytes = 60'000 + random.below(120'000);
  std::string text(bytes, static_cast<char>('a' + random.below(26)));
  // Some can be compressed, some cannot.
  if (random.below(2) == 0) {
    for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t part = random.next64() & 0x3f3f3f3f3f3f3f3fULL;
      std::memcpy(text.data() + at, &part, std::min(sizeof part, bytes - at));
    }
    for (char& c : text) c = static_cast<char>('0' + (c & 0x3f));
  }
  return std::to_string(id) + ":" + text;
}

std::string keyText(std::uint32_t key) { return "key" + std::to_string(key); }

std::string difference(const ObjectState& expected, const ObjectState& found) {
  const auto inMaps = [](const char* what, const auto& wanted, const auto& got) -> std::string {
    for (const auto& [key, value] : wanted) {
      const auto it = got.find(key);
      const std::string where = std::string(what) + " " + std::to_string(key);
      if (it == got.end()) return where + " is missing, it should hold value " + std::to_string(value);
      if (it->second != value) {
        return where + " holds value " + std::to_string(it->second) + " instead of " + std::to_string(value);
      }
    }
    for (const auto& [key, value] : got) {
      if (!wanted.contains(key)) return std::string(what) + " " + std::to_string(key) + " should not be there";
    }
    return "";
  };
  if (std::string text = inMaps("key", expected.kv, found.kv); !text.empty()) return text;
  if (std::string text = inMaps("row", expected.rows, found.rows); !text.empty()) return text;
  if (expected.hasTable != found.hasTable) return found.hasTable ? "a table too many" : "a table is missing";
  if (expected.alarm != found.alarm) {
    const auto text = [](const std::optional<WallMs>& at) { return at ? std::to_string(*at) : "none"; };
    return "the alarm is " + text(found.alarm) + " instead of " + text(expected.alarm);
  }
  return "";
}

Model::Model(std::size_t namespaces, std::size_t objectsPerNamespace) : namespaces_(namespaces) {
  for (std::size_t ns = 0; ns < namespaces; ns++) {
    for (std::size_t i = 0; i < objectsPerNamespace; i++) {
      ModelObject object;
      object.key.ns = namespaceId(ns);
      object.key.id.bytes.fill(static_cast<std::uint8_t>(0x10 + i));
      object.key.id.bytes.back() = static_cast<std::uint8_t>(ns);
      object.name = "object " + std::to_string(objects_.size());
      object.history.push_back({.isNothing = true});
      objects_.push_back(std::move(object));
    }
  }
}

NamespaceId Model::namespaceId(std::size_t ns) {
  NamespaceId id;
  id.bytes.fill(static_cast<std::uint8_t>(0xa0 + ns));
  return id;
}

std::optional<std::size_t> Model::find(const ObjectKey& key) const {
  for (std::size_t i = 0; i < objects_.size(); i++) {
    if (objects_[i].key == key) return i;
  }
  return std::nullopt;
}

std::size_t Model::alarms() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      objects_, [](const auto& object) { return object.history.back().state.alarm.has_value(); }));
}

void Model::committed(std::size_t i, std::uint64_t end, ObjectState state) {
  objects_[i].history.push_back({.end = end, .state = std::move(state)});
  newest_ = std::max(newest_, end);
}

void Model::restoreRequested(std::size_t i, std::uint64_t end, std::optional<Wanted> wanted) {
  objects_[i].restores.push_back({.end = end, .wanted = wanted});
  newest_ = std::max(newest_, end);
}

void Model::restored(std::size_t i, std::uint64_t end, ObjectState state) {
  committed(i, end, std::move(state));
  objects_[i].history.back().isRestoration = true;
  objects_[i].restores.push_back({.end = end, .wanted = std::nullopt});
}

std::optional<Wanted> Model::pendingRestore(std::size_t i) const {
  const std::vector<RestoreEvent>& events = objects_[i].restores;
  return events.empty() ? std::nullopt : events.back().wanted;
}

const ObjectState& Model::past(std::size_t i, const Wanted& wanted) const {
  const std::vector<Commit>& history = objects_[i].history;
  if (!wanted.isUndo) {
    const auto after = std::ranges::upper_bound(history, wanted.position, {}, &Commit::end);
    return std::prev(after)->state;
  }
  const auto undone = std::ranges::find_if(
      history, [&](const Commit& commit) { return commit.isRestoration && commit.end > wanted.position; });
  return std::prev(undone)->state;
}

void Model::namespaceDeleted(std::size_t ns, std::uint64_t end) {
  for (ModelObject& object : objects_) {
    if (object.key.ns != namespaceId(ns)) continue;
    object.history.push_back({.end = end, .state = {}, .isNothing = true});
    object.restores.push_back({.end = end, .wanted = std::nullopt});
  }
  newest_ = std::max(newest_, end);
}

void Model::acknowledged(std::uint64_t end) { acknowledged_ = std::max(acknowledged_, end); }

Result<void> Model::recovered(std::uint64_t tail) {
  if (tail < acknowledged_) {
    return fail(Errc::kInternal, "acknowledged up to " + std::to_string(acknowledged_) + ", recovered up to " +
                                     std::to_string(tail) + " only");
  }
  for (ModelObject& object : objects_) {
    while (object.history.back().end > tail) object.history.pop_back();
    while (!object.restores.empty() && object.restores.back().end > tail) object.restores.pop_back();
  }
  // Whatever survived is durable from now on.
  acknowledged_ = tail;
  newest_ = tail;
  return {};
}

}  // namespace hf::sim
