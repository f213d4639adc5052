#include "catalog/planner.h"

#include <algorithm>

#include "catalog/class_table.h"
#include "catalog/resolve.h"

namespace hf::catalog {
namespace {

std::unexpected<PlanError> refuse(int code, std::string message) {
  return std::unexpected(PlanError{.status = 400, .code = code, .message = std::move(message), .meta = nullptr});
}

constexpr int kMalformed = 10021;

std::expected<std::vector<std::string>, PlanError> stringList(const Json& step, const char* key) {
  std::vector<std::string> out;
  const auto member = step.find(key);
  if (member == step.end() || member->is_null()) return out;
  if (!member->is_array())
    return refuse(kMalformed, std::string("migrations: ") + key + " must be an array of strings");
  for (const Json& entry : *member) {
    if (!entry.is_string() || entry.get_ref<const std::string&>().empty()) {
      return refuse(kMalformed, std::string("migrations: ") + key + " must be an array of class names");
    }
    out.push_back(entry.get<std::string>());
  }
  return out;
}

std::expected<std::vector<Json>, PlanError> objectList(const Json& step, const char* key,
                                                       std::initializer_list<const char*> required) {
  std::vector<Json> out;
  const auto member = step.find(key);
  if (member == step.end() || member->is_null()) return out;
  if (!member->is_array()) return refuse(kMalformed, std::string("migrations: ") + key + " must be an array");
  for (const Json& entry : *member) {
    for (const char* field : required) {
      if (textOf(entry, field).empty()) {
        return refuse(kMalformed, std::string("migrations: every entry of ") + key + " needs '" + field + "'");
      }
    }
    out.push_back(entry);
  }
  return out;
}

std::expected<MigrationStep, PlanError> parseStep(const Json& json) {
  if (!json.is_object()) return refuse(kMalformed, "migrations: a step must be an object");
  MigrationStep step;
  auto created = stringList(json, "new_classes");
  if (!created) return std::unexpected(created.error());
  step.newClasses = *std::move(created);
  auto createdSqlite = stringList(json, "new_sqlite_classes");
  if (!createdSqlite) return std::unexpected(createdSqlite.error());
  step.newSqliteClasses = *std::move(createdSqlite);
  auto deleted = stringList(json, "deleted_classes");
  if (!deleted) return std::unexpected(deleted.error());
  step.deletedClasses = *std::move(deleted);
  const auto renamed = objectList(json, "renamed_classes", {"from", "to"});
  if (!renamed) return std::unexpected(renamed.error());
  for (const Json& entry : *renamed) {
    step.renamedClasses.push_back({.from = textOf(entry, "from"), .to = textOf(entry, "to")});
  }
  const auto transferred = objectList(json, "transferred_classes", {"from", "from_script", "to"});
  if (!transferred) return std::unexpected(transferred.error());
  for (const Json& entry : *transferred) {
    step.transferredClasses.push_back(
        {.from = textOf(entry, "from"), .fromScript = textOf(entry, "from_script"), .to = textOf(entry, "to")});
  }
  return step;
}

std::expected<std::optional<std::string>, PlanError> parseTag(const Json& json, const char* key) {
  const auto member = json.find(key);
  if (member == json.end() || member->is_null()) return std::nullopt;
  if (!member->is_string()) return refuse(kMalformed, std::string("migrations: ") + key + " must be a string");
  std::string tag = member->get<std::string>();
  if (tag.empty()) return std::nullopt;
  return tag;
}

// Applies one step after another to a class table; what a step refuses leaves the whole plan refused.
class Migrator final {
 public:
  Migrator(const PlanInput& input, ClassTable& table) : input_(input), table_(table) {}

  // Within a step, what exists at its start goes first and what the step itself makes goes last: clients that send
  // bracket fields lose the borders between steps (spec control-plane 11.2), so two steps may arrive as one.
  std::expected<void, PlanError> apply(const MigrationStep& step) {
    if (auto checked = checkTargets(step); !checked) return checked;
    std::vector<MigrationStep::Rename> renames;
    std::vector<std::string> deletes;
    if (auto moved = moveExisting(step, renames, deletes); !moved) return moved;
    if (auto created = create(step.newClasses, "new-class", false); !created) return created;
    if (auto created = create(step.newSqliteClasses, "new-sqlite-class", true); !created) return created;
    for (const MigrationStep::Transfer& transfer : step.transferredClasses) {
      if (auto received = receive(transfer); !received) return received;
    }
    return finish(std::move(renames), deletes);
  }

  // Names that deletes took away and nothing brought back: a binding to one of them gets its own text.
  [[nodiscard]] const std::set<std::string>& deletedClasses() const { return deletedClasses_; }

 private:
  std::expected<void, PlanError> checkTargets(const MigrationStep& step) const {
    std::set<std::string> targets;
    std::set<std::string> sources;
    const auto once = [](std::set<std::string>& seen, const std::string& name) -> std::expected<void, PlanError> {
      if (seen.insert(name).second) return {};
      return refuse(10074, "class '" + name + "' cannot be the target of more than one migration");
    };
    for (const auto* list : {&step.newClasses, &step.newSqliteClasses}) {
      for (const std::string& name : *list) {
        if (auto checked = once(targets, name); !checked) return checked;
      }
    }
    for (const auto& rename : step.renamedClasses) {
      if (auto checked = once(targets, rename.to); !checked) return checked;
      if (auto checked = once(sources, rename.from); !checked) return checked;
    }
    for (const auto& transfer : step.transferredClasses) {
      if (auto checked = once(targets, transfer.to); !checked) return checked;
    }
    for (const std::string& name : step.deletedClasses) {
      if (auto checked = once(sources, name); !checked) return checked;
      // A class with objects, deleted and made anew at once: almost always a mistake that would cost the data.
      const bool made = std::ranges::count(step.newClasses, name) + std::ranges::count(step.newSqliteClasses, name) > 0;
      if (made && table_.find(name) != nullptr) {
        return refuse(10074, "class '" + name + "' cannot be the target of more than one migration");
      }
    }
    return {};
  }

  // Renames and deletes whose source is there now. All sources leave before any target comes, so that two classes can
  // change names. What is left over is handed back.
  std::expected<void, PlanError> moveExisting(const MigrationStep& step, std::vector<MigrationStep::Rename>& renames,
                                              std::vector<std::string>& deletes) {
    std::vector<std::pair<NamespaceRow, MigrationStep::Rename>> moving;
    for (const auto& rename : step.renamedClasses) {
      if (table_.find(rename.from) != nullptr) {
        moving.emplace_back(*table_.find(rename.from), rename);
      } else {
        renames.push_back(rename);
      }
    }
    for (const std::string& name : step.deletedClasses) {
      if (table_.find(name) != nullptr) {
        remove(name);
      } else {
        deletes.push_back(name);
      }
    }
    for (const auto& [row, rename] : moving) table_.detach(row.id);
    for (const auto& [row, rename] : moving) {
      if (auto placed = place(row.id, rename); !placed) return placed;
    }
    return {};
  }

  std::expected<void, PlanError> create(const std::vector<std::string>& names, const char* kind, bool useSqlite) {
    for (const std::string& name : names) {
      if (table_.find(name) != nullptr) {
        return refuse(10074, std::string("Cannot apply ") + kind + " migration to class '" + name +
                                 "' that is already depended on by existing Durable Objects");
      }
      table_.add(name, useSqlite);
      deletedClasses_.erase(name);
    }
    return {};
  }

  std::expected<void, PlanError> receive(const MigrationStep::Transfer& transfer) {
    const auto tag = input_.scriptTags.find(transfer.fromScript);
    if (tag == input_.scriptTags.end()) {
      return refuse(10074, "Cannot apply transfer-class migration to class '" + transfer.from + "': the script '" +
                               transfer.fromScript + "' does not exist");
    }
    if (tag->second == input_.scriptTag) {
      return refuse(10074, "Cannot apply transfer-class migration to class '" + transfer.from +
                               "' from the script itself: use a rename-class migration");
    }
    const NamespaceRow* row = table_.findOf(tag->second, transfer.from);
    if (row == nullptr) {
      return refuse(10074, "Cannot apply transfer-class migration to class '" + transfer.from +
                               "' which does not exist in script '" + transfer.fromScript + "'");
    }
    if (table_.find(transfer.to) != nullptr) {
      return refuse(10074, "Cannot apply transfer-class migration to class '" + transfer.to +
                               "' that is already depended on by existing Durable Objects");
    }
    table_.place(row->id, transfer.to);
    deletedClasses_.erase(transfer.to);
    return {};
  }

  // Renames and deletes of what the step has made: renames may follow one another in any order.
  std::expected<void, PlanError> finish(std::vector<MigrationStep::Rename> renames,
                                        const std::vector<std::string>& deletes) {
    while (!renames.empty()) {
      const auto ready =
          std::ranges::find_if(renames, [this](const auto& rename) { return table_.find(rename.from) != nullptr; });
      if (ready == renames.end()) return missing("rename-class", renames.front().from);
      const MigrationStep::Rename rename = std::move(*ready);
      renames.erase(ready);
      const NamespaceId id = table_.find(rename.from)->id;
      table_.detach(id);
      if (auto placed = place(id, rename); !placed) return placed;
    }
    for (const std::string& name : deletes) {
      if (table_.find(name) == nullptr) return missing("delete-class", name);
      remove(name);
    }
    return {};
  }

  std::expected<void, PlanError> place(const NamespaceId& id, const MigrationStep::Rename& rename) {
    if (table_.find(rename.to) != nullptr) {
      return refuse(10074, "Cannot apply rename-class migration to class '" + rename.from + "': class '" + rename.to +
                               "' is already depended on by existing Durable Objects");
    }
    table_.place(id, rename.to);
    deletedClasses_.erase(rename.to);
    return {};
  }

  void remove(const std::string& name) {
    table_.remove(name);
    deletedClasses_.insert(name);
  }

  static std::unexpected<PlanError> missing(const char* kind, const std::string& name) {
    return refuse(10074, std::string("Cannot apply ") + kind + " migration to class '" + name +
                             "' which was not exported in the previous version of the script");
  }

  const PlanInput& input_;
  ClassTable& table_;
  std::set<std::string> deletedClasses_;
};

std::string joined(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "'" : ", '") + name + "'";
  return out;
}

// 10061: what goes must not be bound, neither by this upload nor by another Worker.
std::expected<void, PlanError> checkDeleted(const PlanInput& input, const ClassTable& table,
                                            const std::set<std::string>& deletedClasses) {
  for (const NamespaceRow& row : table.removed()) {
    const auto bound = input.boundByOthers.find(row.id);
    if (bound == input.boundByOthers.end() || bound->second.empty()) continue;
    return refuse(10061, "Cannot apply --delete-class migration to class '" + row.className +
                             "' without also removing the binding that references it. It is bound by " +
                             joined(bound->second) + ".");
  }
  for (const std::string& name : deletedClasses) {
    if (table.find(name) == nullptr && input.boundClasses.contains(name)) {
      return refuse(10061, "Cannot apply --delete-class migration to class '" + name +
                               "' without also removing the binding that references it.");
    }
  }
  return {};
}

std::expected<void, PlanError> checkExported(const PlanInput& input, const ClassTable& table) {
  for (const NamespaceRow& row : table.own()) {
    if (input.codeClasses.contains(row.className)) continue;
    switch (table.originOf(row.id)) {
      case ClassTable::Origin::kCreated:
        return refuse(10070, std::string("Cannot apply ") + (row.useSqlite ? "new-sqlite-class" : "new-class") +
                                 " migration to class " + row.className + " that is not exported by script");
      case ClassTable::Origin::kRenamed:
        return refuse(
            10070, "Cannot apply rename-class migration to class " + row.className + " that is not exported by script");
      case ClassTable::Origin::kTransferred:
        return refuse(10070, "Cannot apply transfer-class migration to class " + row.className +
                                 " that is not exported by script");
      case ClassTable::Origin::kUnchanged:
        return refuse(10064, "New version of script does not export class '" + row.className +
                                 "' which is depended on by existing Durable Objects. If you want to delete the "
                                 "Durable Objects of this class, use a delete-class migration.");
    }
  }
  return {};
}

std::expected<void, PlanError> checkBound(const PlanInput& input, const ClassTable& table) {
  for (const std::string& name : input.boundClasses) {
    if (table.find(name) != nullptr) continue;  // and exported: checkExported has seen it
    if (!input.codeClasses.contains(name)) {
      return refuse(10061, "Cannot create binding for class " + name + " that is not exported by the script");
    }
    return refuse(10061, "Cannot create binding for class '" + name +
                             "' because it is not currently configured to implement Durable Objects. Ensure a "
                             "--new-class migration has been applied to it.");
  }
  return {};
}

}  // namespace

std::expected<Migrations, PlanError> parseMigrations(const Json& json) {
  if (!json.is_object()) return refuse(kMalformed, "migrations must be an object");
  Migrations out;
  auto oldTag = parseTag(json, "old_tag");
  if (!oldTag) return std::unexpected(oldTag.error());
  out.oldTag = *std::move(oldTag);
  auto newTag = parseTag(json, "new_tag");
  if (!newTag) return std::unexpected(newTag.error());
  out.newTag = *std::move(newTag);
  auto single = parseStep(json);
  if (!single) return std::unexpected(single.error());
  const bool hasSingle = !single->newClasses.empty() || !single->newSqliteClasses.empty() ||
                         !single->renamedClasses.empty() || !single->deletedClasses.empty() ||
                         !single->transferredClasses.empty();
  const auto steps = json.find("steps");
  const bool hasSteps = steps != json.end() && !steps->is_null();
  if (hasSteps && hasSingle) {
    return refuse(kMalformed, "migrations: give either 'steps' or class lists beside the tags, not both");
  }
  if (!hasSteps) {
    if (hasSingle) out.steps.push_back(*std::move(single));
    return out;
  }
  if (!steps->is_array()) return refuse(kMalformed, "migrations: 'steps' must be an array");
  for (const Json& entry : *steps) {
    auto step = parseStep(entry);
    if (!step) return std::unexpected(step.error());
    out.steps.push_back(*std::move(step));
  }
  return out;
}

std::expected<void, PlanError> checkMigrationTag(const std::optional<std::string>& current,
                                                 const Migrations& migrations) {
  if (current == migrations.oldTag) return {};
  return std::unexpected(PlanError{.status = 412,
                                   .code = 10079,
                                   .message = "Actor migration tag precondition failed, got tag '" +
                                              migrations.oldTag.value_or("") + "' when expected tag is '" +
                                              current.value_or("") + "'.",
                                   .meta = nullptr});
}

std::expected<Plan, PlanError> planMigrations(const PlanInput& input, const std::optional<Migrations>& migrations) {
  ClassTable table(input);
  Migrator migrator(input, table);
  if (migrations) {
    for (const MigrationStep& step : migrations->steps) {
      if (auto applied = migrator.apply(step); !applied) return std::unexpected(applied.error());
    }
  }
  if (auto checked = checkDeleted(input, table, migrator.deletedClasses()); !checked) {
    return std::unexpected(checked.error());
  }
  if (auto checked = checkExported(input, table); !checked) return std::unexpected(checked.error());
  if (auto checked = checkBound(input, table); !checked) return std::unexpected(checked.error());
  return table.plan();
}

}  // namespace hf::catalog
