// DatabaseTable: objects with facets. What an object and its facets write in the turns of one round of the event loop
// is one commit: one group of the ledger.
//
// 1. A turn's writes stay in the implicit transactions when it ends, marked (storage::Database::markTurn), so that
//    breaking an object takes back what its last turn wrote and nothing that others may have learned of.
// 2. Whatever must be committed earlier (sync(), transaction(), deleteAll()) takes everything of its tree along.
// 3. A marked turn that is lost all the same (INSERT OR ROLLBACK, a full disk) resets the whole tree.
// 4. A facet that ends keeps its database open until the next commit.
#include <algorithm>
#include <utility>

#include "actor/databases.h"
#include "base/check.h"

namespace hf::actor {
namespace {

// Rounds that end because others' turns shall have a chance, not because there is nothing more to do.
constexpr int kRoundsWaitedMax = 4;

}  // namespace

void DatabaseTable::beginTree(DatabaseHandle root) {
  Open& parent = open_.at(root);
  if (parent.tree != 0) return;
  parent.tree = root;
  trees_.emplace(root, Tree{});
  if (parent.database->isDirty()) markTreeWritten(root);
}

Result<DatabaseHandle> DatabaseTable::openFacet(DatabaseHandle root, std::string_view path) {
  Open& parent = open_.at(root);
  const ObjectKey object{.ns = parent.object.ns, .id = facetId(parent.object.id, path)};
  if (const auto it = byObject_.find(object); it != byObject_.end()) {
    Open& known = open_.at(it->second);
    HF_CHECK(known.tree == root, "a facet belongs to its root's tree");
    known.closing = false;
    return it->second;
  }
  HF_TRY(auto database, store_.open(object, parent.name));
  beginTree(root);
  const DatabaseHandle handle = nextHandle_++;
  std::string name = parent.name;
  open_.emplace(handle, Open{.object = object, .name = std::move(name), .database = std::move(database), .tree = root});
  byObject_.emplace(object, handle);
  trees_.at(root).facets.push_back(handle);
  return handle;
}

void DatabaseTable::markTreeWritten(DatabaseHandle root) {
  if (!std::exchange(trees_.at(root).listed, true)) dirtyTrees_.push_back(root);
}

bool DatabaseTable::commitTree(DatabaseHandle root) {
  Tree& tree = trees_.at(root);
  Open& parent = open_.at(root);
  tree.roundsWaited = 0;
  std::vector<storage::Database*> databases;
  bool isDirty = false;
  const auto take = [&](Open& open) {
    // A facet that broke is reset alone, or with its tree (3).
    if (open.database->broken()) return;
    isDirty = isDirty || open.database->isDirty();
    databases.push_back(open.database.get());
  };
  take(parent);
  for (const DatabaseHandle facet : tree.facets) take(open_.at(facet));
  bool done = true;
  // Also when everything was taken back: the commit's number was given out.
  if (isDirty || tree.listed) {
    const auto position = store_.commitTogether(databases);
    done = position.has_value();
    if (done) {
      // What an open gate may show includes what facets wrote that are closed by now.
      if (*position && (!tree.last || **position > *tree.last)) tree.last = *position;
      committed(root, parent, tree.last);
    } else {
      host_.onCommitFailed(root, position.error());
    }
  }
  tree.listed = false;
  std::erase(dirtyTrees_, root);
  std::erase_if(tree.facets, [&](DatabaseHandle facet) {
    if (!open_.at(facet).closing) return false;
    if (tree.index == facet) tree.index = 0;
    erase(facet);
    return true;
  });
  return done;
}

void DatabaseTable::endTreeTurns() {
  for (const DatabaseHandle root : std::vector(dirtyTrees_)) {
    bool isLost = false;
    const auto end = [&](Open& open) {
      open.database->markTurn();
      isLost = isLost || open.database->hasLostTurn();
    };
    end(open_.at(root));
    for (const DatabaseHandle facet : trees_.at(root).facets) end(open_.at(facet));
    if (!isLost) continue;
    const Error why{Errc::kDisconnected, "Durable Object was reset because a facet lost what it had written."};
    open_.at(root).database->abort(why);
    for (const DatabaseHandle facet : trees_.at(root).facets) open_.at(facet).database->abort(why);
    host_.onCommitFailed(root, why);
  }
}

void DatabaseTable::endRound(Round round) {
  for (const DatabaseHandle root : std::vector(dirtyTrees_)) {
    if (round == Round::kMore && ++trees_.at(root).roundsWaited < kRoundsWaitedMax) continue;
    commitTree(root);
  }
}

void DatabaseTable::closeInTree(DatabaseHandle handle, Open& open) {
  if (!open.database->broken()) HF_IGNORE(open.database->rollbackTurn(), "it is then broken");
  if (handle != open.tree) {
    // It may be wanted again before it goes; one that is broken cannot be used.
    open.closing = true;
    markTreeWritten(open.tree);
    if (!open.database->broken()) return;
    const DatabaseHandle root = open.tree;
    if (open.database->hasLostTurn()) {
      open_.at(root).database->abort({Errc::kDisconnected, open.database->broken()->message});
      host_.onCommitFailed(root, *open.database->broken());
    }
    Tree& tree = trees_.at(root);
    std::erase(tree.facets, handle);
    if (tree.index == handle) tree.index = 0;
    return erase(handle);
  }
  commitTree(handle);
  for (const DatabaseHandle facet : trees_.at(handle).facets) erase(facet);
  std::erase(dirtyTrees_, handle);
  trees_.erase(handle);
  erase(handle);
}

}  // namespace hf::actor
