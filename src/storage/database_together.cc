// DatabaseImpl: what several databases that are committed together need. A turn that has ended without a commit is
// marked: a savepoint keeps what it wrote apart from what later turns write, until the commit.
#include <sqlite3.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "storage/database_impl.h"

namespace hf::storage {

void DatabaseImpl::unmark() {
  marked_ = false;
  transactionMarked_ = false;
  hasTurnSavepoint_ = false;
}

Result<void> DatabaseImpl::beginTurnSavepoint() {
  HF_CHECK(syncDepth_ == 0, "a savepoint that is open has written, or had the turn's savepoint made");
  HF_TRY_VOID(runStep("SAVEPOINT _cf_turn"));
  hasTurnSavepoint_ = true;
  return {};
}

void DatabaseImpl::markTurn() {
  // An explicit transaction is rolled back as a whole, whichever turns it spans. And JavaScript that is terminated in
  // the middle of a transactionSync leaves it open: the commit says so.
  if (broken_ || !isDirty() || transaction_ == Transaction::kExplicit || syncDepth_ > 0) return;
  if (hasTurnSavepoint_) {
    hasTurnSavepoint_ = false;
    if (!runStep("RELEASE _cf_turn")) return;  // the database is broken, or the transaction gone
  }
  marked_ = true;
  transactionMarked_ = transaction_ == Transaction::kImplicit;
}

Result<void> DatabaseImpl::rollbackTurn() {
  HF_TRY_VOID(usable());
  if (!marked_) file_.resetPending = false;
  if (transaction_ == Transaction::kNone) return {};
  syncDepth_ = 0;
  if (transactionMarked_ && !lostTransaction_) {
    if (!hasTurnSavepoint_) return {};
    hasTurnSavepoint_ = false;
    rolledBack();
    return runStep("ROLLBACK TO _cf_turn;RELEASE _cf_turn");
  }
  explicitDepth_ = 0;
  rolledBack();
  transaction_ = Transaction::kNone;
  if (std::exchange(lostTransaction_, false)) return {};
  if (const int code = connection_->run(Internal::kRollback); code != SQLITE_OK) {
    return std::unexpected(statementFailed(code));
  }
  return {};
}

Result<void> DatabaseImpl::yieldTransaction() {
  HF_TRY_VOID(usable());
  HF_CHECK(explicitDepth_ == 1 && transaction_ == Transaction::kExplicit, "the root of a transaction ends");
  if (lostTransaction_) return commitTransaction();  // which says so
  explicitDepth_ = 0;
  transaction_ = Transaction::kImplicit;
  return {};
}

Result<bool> DatabaseImpl::prepareCommit() {
  HF_TRY_VOID(usable());
  if (transaction_ == Transaction::kExplicit || !isDirty()) return false;
  file_.holdsBack = true;
  Result<void> ended = commitNow();
  file_.holdsBack = false;
  if (!ended) return std::unexpected(ended.error());
  return file_.held.has_value();
}

GroupMember DatabaseImpl::preparedCommit() {
  HF_CHECK(file_.held, "what was prepared is taken");
  return {.overlay = &file_.overlay, .pending = *file_.held};
}

void DatabaseImpl::committed() {
  HF_CHECK(file_.held, "what was prepared is committed");
  // With a reset to nothing they are what the connection goes on seeing.
  if (!file_.held->pages.empty()) file_.startingPages = nullptr;
  file_.held.reset();
  file_.resetPending = false;
}

void DatabaseImpl::commitFailed(const Error& why) {
  context_.log.error("storage: " + why.message, {{"object", file_.overlay.object().id.hex()}});
  if (!broken_) HF_IGNORE(breakWith(refused(why)), "the caller knows why");
}

Result<void> DatabaseImpl::copyFrom(Database& source) {
  auto& from = static_cast<DatabaseImpl&>(source);
  HF_CHECK(&from != this && !isDirty(), "what was written before is committed");
  HF_TRY_VOID(usable());
  HF_TRY_VOID(deleteAll(DeleteAlarm::kYes));
  if (from.isEmpty()) return {};
  HF_TRY_VOID(from.readable());
  const std::uint32_t count = from.file_.overlay.pageCount();
  if (std::uint64_t{count} * kPageBytes > limits::kTransactionBytesMax) {
    return fail(Errc::kSql, "database or disk is full: SQLITE_FULL");
  }
  PendingCommit pending{.pages = {}, .pageCount = count, .reset = true, .alarm = {}};
  for (std::uint32_t number = 1; number <= count; number++) {
    const Overlay::Found found = from.file_.overlay.find(number);
    PageRef page = found.page;
    if (page == nullptr) {
      auto read = std::make_shared<Page>();
      read->fill(0);
      if (found.fileCounts) HF_TRY_VOID(context_.files.readPage(from.file_.overlay.object(), number, *read));
      page = std::move(read);
    }
    pending.pages.emplace_back(number, std::move(page));
  }
  closeConnection({Errc::kSql, "SQLite query was canceled because the database was deleted."});
  file_.resetPending = true;
  file_.held = std::move(pending);
  return {};
}

Result<std::optional<ledger::Position>> commitTogether(std::span<Database* const> databases) {
  std::vector<DatabaseImpl*> prepared;
  std::optional<Error> failed;
  for (Database* database : databases) {
    auto& member = static_cast<DatabaseImpl&>(*database);
    const Result<bool> has = member.prepareCommit();
    if (!has) failed = has.error();
    if (!has) break;
    if (*has) prepared.push_back(&member);
  }
  if (!failed && !prepared.empty()) {
    std::vector<GroupMember> members;
    members.reserve(prepared.size());
    for (DatabaseImpl* member : prepared) members.push_back(member->preparedCommit());
    const Result<ledger::Position> end = members.size() == 1 ? members[0].overlay->commit(std::move(members[0].pending))
                                                             : Overlay::commitTogether(members);
    if (end) {
      for (DatabaseImpl* member : prepared) member->committed();
    } else {
      for (DatabaseImpl* member : prepared) member->commitFailed(end.error());
      failed = prepared.front()->broken();
    }
  }
  if (failed) {
    for (Database* database : databases) database->abort(*failed);
    return std::unexpected(*failed);
  }
  std::optional<ledger::Position> last;
  for (Database* database : databases) {
    const std::optional<ledger::Position> end = static_cast<DatabaseImpl&>(*database).lastCommit();
    if (end && (!last || *end > *last)) last = end;
  }
  return last;
}

}  // namespace hf::storage
