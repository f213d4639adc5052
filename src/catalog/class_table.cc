#include "catalog/class_table.h"

#include <algorithm>

#include "base/check.h"

namespace hf::catalog {

ClassTable::ClassTable(const PlanInput& input) : input_(input), rows_(input.namespaces) {
  for (const NamespaceRow& row : rows_) {
    HF_CHECK(before_.emplace(row.id, row).second, "a namespace id is unique");
  }
}

const NamespaceRow* ClassTable::find(const std::string& className) const { return findOf(input_.scriptTag, className); }

const NamespaceRow* ClassTable::findOf(const std::string& scriptTag, const std::string& className) const {
  const auto found = std::ranges::find_if(rows_, [&](const NamespaceRow& row) {
    return row.scriptTag == scriptTag && row.className == className && !detached_.contains(row.id);
  });
  return found == rows_.end() ? nullptr : &*found;
}

NamespaceId ClassTable::add(const std::string& className, bool useSqlite) {
  HF_CHECK(find(className) == nullptr, "the caller has looked");
  const NamespaceId id = input_.newId();
  HF_CHECK(std::ranges::count(rows_, id, &NamespaceRow::id) == 0, "ids are random and do not repeat");
  rows_.push_back({.id = id, .scriptTag = input_.scriptTag, .className = className, .useSqlite = useSqlite});
  return id;
}

void ClassTable::detach(const NamespaceId& id) { detached_.insert(id); }

void ClassTable::place(const NamespaceId& id, const std::string& className) {
  HF_CHECK(find(className) == nullptr, "the caller has looked");
  detached_.erase(id);
  NamespaceRow& row = at(id);
  row.scriptTag = input_.scriptTag;
  row.className = className;
}

void ClassTable::giveTo(const NamespaceId& id, const std::string& scriptTag) {
  NamespaceRow& row = at(id);
  HF_CHECK(findOf(scriptTag, row.className) == nullptr, "the caller has looked");
  row.scriptTag = scriptTag;
}

void ClassTable::remove(const std::string& className) {
  const NamespaceRow* row = find(className);
  HF_CHECK(row != nullptr, "the caller has looked");
  rows_.erase(rows_.begin() + (row - rows_.data()));
}

std::vector<NamespaceRow> ClassTable::own() const {
  std::vector<NamespaceRow> out;
  std::ranges::copy_if(rows_, std::back_inserter(out),
                       [this](const NamespaceRow& row) { return row.scriptTag == input_.scriptTag; });
  return out;
}

std::vector<NamespaceRow> ClassTable::removed() const {
  std::vector<NamespaceRow> out;
  for (const auto& [id, row] : before_) {
    if (std::ranges::count(rows_, id, &NamespaceRow::id) == 0) out.push_back(row);
  }
  return out;
}

ClassTable::Origin ClassTable::originOf(const NamespaceId& id) const {
  const auto known = before_.find(id);
  if (known == before_.end()) return Origin::kCreated;
  const auto row = std::ranges::find(rows_, id, &NamespaceRow::id);
  HF_CHECK(row != rows_.end(), "asked for a namespace of the table");
  if (known->second.scriptTag != row->scriptTag) return Origin::kTransferred;
  return known->second.className == row->className ? Origin::kUnchanged : Origin::kRenamed;
}

Plan ClassTable::plan() const {
  HF_CHECK(detached_.empty(), "what was detached has been placed");
  Plan plan;
  for (const NamespaceRow& row : rows_) {
    if (originOf(row.id) != Origin::kUnchanged) plan.changed.push_back(row);
  }
  for (const NamespaceRow& row : removed()) plan.deleted.push_back(row.id);
  plan.namespaces = rows_;
  return plan;
}

NamespaceRow& ClassTable::at(const NamespaceId& id) {
  const auto row = std::ranges::find(rows_, id, &NamespaceRow::id);
  HF_CHECK(row != rows_.end(), "asked for a namespace of the table");
  return *row;
}

}  // namespace hf::catalog
