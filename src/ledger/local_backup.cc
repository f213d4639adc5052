// A fuzzy copy of the ledger's files: why it is a ledger that a recovery reads is in ledger.h, LedgerBackup.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "ledger/local_ledger.h"

namespace hf::ledger {

class LocalLedger::Backup final : public LedgerBackup {
 public:
  Backup(LocalLedger& ledger, std::unique_ptr<Hold> held) : ledger_(ledger), held_(std::move(held)) {}

  [[nodiscard]] Position retired() const override { return held_->from(); }

  Result<Parts> parts() override {
    const std::scoped_lock lock(ledger_.mutex_);
    if (ledger_.poisoned_) return std::unexpected(*ledger_.poisoned_);
    Mark mark;
    mark.ledger = ledger_.id_;
    mark.retired = retired().value;
    mark.durable = ledger_.durable_;
    mark.sequence = ledger_.newestSequence(mark.retired);
    seal(mark);
    const BytesView markBytes = objectBytes(mark);
    Parts parts;
    parts.files.push_back({.name = std::string(kMarkName),
                           .sourcePath = {},
                           .bytes = Bytes(markBytes.begin(), markBytes.end()),
                           .fileBytes = markBytes.size(),
                           .usedBytes = markBytes.size()});
    parts.end = Position{ledger_.durable_};
    for (const LiveSegment& segment : ledger_.live_) {
      HF_CHECK(segment.file != nullptr, "what is live has its file");
      const bool isActive = ledger_.isActive_ && &segment == &ledger_.live_.back();
      // Nothing in it is durable, its header perhaps neither: what the file holds may be of an earlier use.
      if (isActive && ledger_.active_.start >= ledger_.durable_) continue;
      parts.files.push_back({.name = std::filesystem::path(segment.file->path).filename().string(),
                             .sourcePath = segment.file->path,
                             .bytes = {},
                             .fileBytes = segment.file->bytes,
                             // Up to the batch under way: a recovery takes it or finds it torn, as after a crash.
                             .usedBytes = isActive ? ledger_.activeOffset_ : segment.file->bytes});
    }
    return parts;
  }

 private:
  LocalLedger& ledger_;
  const std::unique_ptr<Hold> held_;
};

Result<std::unique_ptr<LedgerBackup>> LocalLedger::beginBackup() {
  {
    const std::scoped_lock lock(mutex_);
    if (poisoned_) return std::unexpected(*poisoned_);
  }
  return std::make_unique<Backup>(*this, hold());
}

}  // namespace hf::ledger
