// Declarative `exports`: the classes in the code, the declarations and what is provisioned are made to agree, or the
// deploy is refused with everything that does not (spec control-plane 6).
#include <algorithm>

#include "catalog/class_table.h"
#include "catalog/planner.h"
#include "catalog/resolve.h"

namespace hf::catalog {
namespace {

using State = ClassDeclaration::State;

std::unexpected<PlanError> reconciliationFailed(Json details) {
  return std::unexpected(PlanError{
      .status = 400,
      .code = 100402,
      .message = "Durable Object exports reconciliation failed: " + details.front()["class"].get<std::string>() + ": " +
                 details.front()["message"].get<std::string>(),
      .meta = Json{{"details", std::move(details)}}});
}

Json detail(const std::string& className, const char* scenario, std::string message) {
  return Json{{"class", className}, {"scenario", scenario}, {"message", std::move(message)}};
}

std::expected<ClassDeclaration, Json> parseDeclaration(const std::string& name, const Json& json) {
  const auto invalid = [&name](std::string message) {
    return std::unexpected(detail(name, "invalid_export", std::move(message)));
  };
  const std::string state = textOf(json, "state");
  ClassDeclaration out;
  if (json.contains("container")) return invalid("containers are not part of this release of Holdfast");
  if (state == "transferred" || state == "expecting-transfer") {
    return invalid(
        "transfers between Workers by 'exports' are not part of this release of Holdfast; the migration "
        "'transferred_classes' is");
  }
  if (state == "deleted") {
    out.state = State::kDeleted;
    return out;
  }
  if (state == "renamed") {
    out.state = State::kRenamed;
    out.other = textOf(json, "renamed_to");
    if (out.other.empty() || out.other == name) return invalid("'renamed_to' must name another class");
    return out;
  }
  if (!state.empty() && state != "created") return invalid("unknown state '" + state + "'");
  const std::string storage = textOf(json, "storage");
  if (storage != "sqlite" && storage != "legacy-kv") return invalid("'storage' must be \"sqlite\" or \"legacy-kv\"");
  out.useSqlite = storage == "sqlite";
  return out;
}

class Reconciler final {
 public:
  Reconciler(const PlanInput& input, const ClassDeclarations& declarations)
      : input_(input), declarations_(declarations), table_(input) {}

  std::expected<Plan, PlanError> run() {
    rename();
    for (const auto& [name, declaration] : declarations_) {
      if (declaration.state == State::kDeleted) remove(name);
    }
    for (const auto& [name, declaration] : declarations_) {
      if (declaration.state == State::kLive) provision(name, declaration);
    }
    findUndeclared();
    if (!details_.empty()) return reconciliationFailed(std::move(details_));
    for (const std::string& name : input_.boundClasses) {
      if (table_.find(name) != nullptr) continue;
      return std::unexpected(PlanError{
          .status = 400,
          .code = 10061,
          .message = "Cannot create binding for class '" + name +
                     "' because it is not currently configured to implement Durable Objects. Declare it in 'exports'.",
          .meta = nullptr});
    }
    Plan plan = table_.plan();
    plan.reconciliation = Json{{"created", created_},
                               {"updated", Json::array()},
                               {"deleted", deleted_},
                               {"renamed", renamed_},
                               {"transferred", Json::array()},
                               {"transfer_pending", Json::array()},
                               {"warnings", Json::array()},
                               {"info", info_},
                               {"removable_entries", removable_}};
    return plan;
  }

 private:
  // All sources leave before any target comes: classes may change names.
  void rename() {
    std::vector<std::pair<NamespaceRow, std::string>> moving;
    for (const auto& [name, declaration] : declarations_) {
      if (declaration.state != State::kRenamed) continue;
      if (const NamespaceRow* row = table_.find(name)) {
        moving.emplace_back(*row, declaration.other);
      } else {
        stale(name);
      }
    }
    for (const auto& [row, to] : moving) table_.detach(row.id);
    for (const auto& [row, to] : moving) {
      if (table_.find(to) != nullptr) {
        details_.push_back(detail(row.className, "tombstone_renamed_to_occupied",
                                  "'" + to + "' already has Durable Objects of its own"));
        continue;  // the plan is refused as a whole: where the row stands does not matter any more
      }
      table_.place(row.id, to);
      renamed_.push_back(Json{{"from", row.className}, {"to", to}});
      if (input_.codeClasses.contains(row.className)) {
        info_.push_back(detail(row.className, "tombstone_class_still_in_code",
                               "renamed to '" + to + "', but the code still exports the old name"));
      }
    }
  }

  void remove(const std::string& name) {
    const NamespaceRow* row = table_.find(name);
    if (row == nullptr) return stale(name);
    if (input_.codeClasses.contains(name)) {
      details_.push_back(detail(name, "tombstone_delete_class_still_in_code",
                                "declared as deleted, but the code still exports the class"));
      return;
    }
    const auto bound = input_.boundByOthers.find(row->id);
    if (bound != input_.boundByOthers.end() && !bound->second.empty()) {
      Json entry =
          detail(name, "tombstone_delete_blocked_by_external_bindings", "other Workers still bind to the class");
      entry["referencing_scripts"] = bound->second;
      entry["namespace_id"] = row->id.hex();
      details_.push_back(std::move(entry));
      return;
    }
    table_.remove(name);
    deleted_.push_back(name);
  }

  void provision(const std::string& name, const ClassDeclaration& declaration) {
    if (!input_.codeClasses.contains(name)) {
      details_.push_back(
          detail(name, "config_export_not_in_code", "declared in 'exports', but the code exports no such class"));
      return;
    }
    const NamespaceRow* row = table_.find(name);
    if (row == nullptr) {
      table_.add(name, declaration.useSqlite);
      created_.push_back(name);
      return;
    }
    if (row->useSqlite != declaration.useSqlite) {
      Json entry = detail(name, "storage_type_mismatch",
                          std::string("the class has ") + (row->useSqlite ? "sqlite" : "legacy-kv") +
                              " storage, which cannot be changed");
      entry["namespace_id"] = row->id.hex();
      details_.push_back(std::move(entry));
    }
  }

  void findUndeclared() {
    for (const NamespaceRow& row : table_.own()) {
      const auto declared = declarations_.find(row.className);
      if (declared != declarations_.end()) continue;  // live, or refused above
      const bool inCode = input_.codeClasses.contains(row.className);
      Json entry = inCode ? detail(row.className, "provisioned_class_missing_from_config",
                                   "the class has Durable Objects, but no entry in 'exports'")
                          : detail(row.className, "orphaned_provisioned_namespace",
                                   "the class has Durable Objects, but is neither in the code nor in 'exports'");
      entry["namespace_id"] = row.id.hex();
      entry["suggestion"] = inCode ? "Declare the class, or declare it as deleted and remove it from the code."
                                   : "Declare the class as deleted or renamed.";
      details_.push_back(std::move(entry));
    }
    for (const std::string& name : input_.codeClasses) {
      if (!declarations_.contains(name) && table_.find(name) == nullptr) {
        info_.push_back(detail(name, "code_class_not_in_exports", "the class is not declared and has no storage"));
      }
    }
  }

  void stale(const std::string& name) {
    info_.push_back(detail(name, "stale_tombstone", "already applied: the entry can be removed"));
    removable_.push_back(name);
  }

  const PlanInput& input_;
  const ClassDeclarations& declarations_;
  ClassTable table_;
  Json details_ = Json::array();
  Json created_ = Json::array();
  Json deleted_ = Json::array();
  Json renamed_ = Json::array();
  Json info_ = Json::array();
  Json removable_ = Json::array();
};

}  // namespace

std::expected<ClassDeclarations, PlanError> parseExports(const Json& json) {
  if (!json.is_object()) {
    return std::unexpected(
        PlanError{.status = 400, .code = 10021, .message = "exports must be an object", .meta = nullptr});
  }
  ClassDeclarations out;
  Json details = Json::array();
  for (const auto& [name, entry] : json.items()) {
    const std::string type = textOf(entry, "type");
    if (type == "worker") continue;
    if (type != "durable-object") {
      details.push_back(
          detail(name, "invalid_export", "exports of type '" + type + "' are not part of this release of Holdfast"));
      continue;
    }
    auto declaration = parseDeclaration(name, entry);
    if (declaration) {
      out.emplace(name, *std::move(declaration));
    } else {
      details.push_back(std::move(declaration).error());
    }
  }
  if (!details.empty()) return reconciliationFailed(std::move(details));
  return out;
}

std::expected<Plan, PlanError> planExports(const PlanInput& input, const ClassDeclarations& declarations) {
  return Reconciler(input, declarations).run();
}

}  // namespace hf::catalog
