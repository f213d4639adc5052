#include "storage/overlay.h"

#include <gtest/gtest.h>

#include "ledger/checksum.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

// A commit of one page of zeros, as recovery hands it over.
ledger::RecoveredCommit recovered(const ObjectKey& object) {
  static const Page zeros{};
  ledger::RecoveredCommit commit{.end = {1}, .object = object, .transaction = 1, .pageCount = 1};
  commit.pages.push_back({.number = 1,
                          .isWhole = true,
                          .encoding = 1,
                          .check = static_cast<std::uint32_t>(ledger::checksum(zeros, 0)),
                          .encoded = {}});
  return commit;
}

TEST(Overlay, AFileThatACheckpointMadeWhileItWasLookedForCounts) {
  OverlayContext context;
  Overlay overlay(objectKey(1), context);
  must(overlay.replay(recovered(objectKey(1))));
  // Somebody who opens the object has looked for its file and found none; then comes the first checkpoint.
  const auto snapshot = overlay.snapshot();
  ASSERT_TRUE(snapshot);
  overlay.finish(*snapshot);
  overlay.setFile(std::nullopt);
  const Overlay::Found found = overlay.find(1);
  EXPECT_EQ(found.page, nullptr);
  EXPECT_TRUE(found.fileCounts);
  EXPECT_EQ(overlay.pageCount(), 1U);
}

}  // namespace
}  // namespace hf::storage
