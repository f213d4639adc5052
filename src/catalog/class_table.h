// The Durable Object classes of all scripts while a deploy is being planned: the operations that migrations and
// declarative exports share.
// Invariant: within one script a class name belongs to at most one namespace, except between detach and place.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "catalog/planner.h"

namespace hf::catalog {

class ClassTable final {
 public:
  enum class Origin { kUnchanged, kCreated, kRenamed, kTransferred };

  // Borrows the input.
  explicit ClassTable(const PlanInput& input);

  // Of the script being deployed; nullptr: none. Valid until the next change.
  [[nodiscard]] const NamespaceRow* find(const std::string& className) const;
  [[nodiscard]] const NamespaceRow* findOf(const std::string& scriptTag, const std::string& className) const;

  NamespaceId add(const std::string& className, bool useSqlite);
  // Takes the name away, so that another namespace may have it; place() must follow.
  void detach(const NamespaceId& id);
  // Gives a namespace, perhaps another script's, to the script being deployed under this name.
  void place(const NamespaceId& id, const std::string& className);
  // Gives it away.
  void giveTo(const NamespaceId& id, const std::string& scriptTag);
  void remove(const std::string& className);

  // Of the script being deployed, in the order of creation.
  [[nodiscard]] std::vector<NamespaceRow> own() const;
  // That existed before and exist no more; as they were.
  [[nodiscard]] std::vector<NamespaceRow> removed() const;
  [[nodiscard]] Origin originOf(const NamespaceId& id) const;
  [[nodiscard]] Plan plan() const;

 private:
  NamespaceRow& at(const NamespaceId& id);

  const PlanInput& input_;
  std::vector<NamespaceRow> rows_;
  std::map<NamespaceId, NamespaceRow> before_;
  std::set<NamespaceId> detached_;
};

}  // namespace hf::catalog
