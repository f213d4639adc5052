#include "ledger/record.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "ledger/ledger_test_support.h"
#include "ledger/page_codec.h"

namespace hf::ledger {
namespace {

RecoveredCommit decoded(const Bytes& bytes) {
  auto record = decodeRecord(bytes, Position{bytes.size()});
  HF_CHECK(record && std::holds_alternative<RecoveredCommit>(*record), "a test decodes what it encoded");
  return std::get<RecoveredCommit>(*record);
}

RC_GTEST_PROP(Record, CommitsComeBackAsTheyWere, (std::uint64_t seed)) {
  SeededRandom random(seed);
  CommitRecord record;
  random.fill(record.object.ns.bytes);
  random.fill(record.object.id.bytes);
  record.transaction = random.next64() >> random.below(64);
  record.pageCount = static_cast<std::uint32_t>(random.next64());
  record.reset = random.below(2) == 0;
  if (random.below(2) == 0) {
    record.alarm.emplace();
    if (random.below(2) == 0) record.alarm->at = static_cast<WallMs>(random.next64());
    record.alarm->objectName = std::string(random.below(300), 'n');
  }
  const std::size_t count = random.below(5);
  std::vector<Bytes> before;
  std::vector<Bytes> after;
  for (std::size_t i = 0; i < count; i++) {
    before.push_back(pageOf(random));
    after.push_back(changedPage(before.back(), random));
  }
  for (std::size_t i = 0; i < count; i++) {
    PageImage& page = record.pages.emplace_back();
    page.number = static_cast<std::uint32_t>(1 + random.below(UINT32_MAX));
    page.bytes = after[i];
    if (i % 2 == 0) page.previous = before[i];
  }
  Bytes bytes = {1, 2, 3};  // whatever was in the buffer before
  encodeRecord(record, bytes);
  RC_ASSERT(**recordLength(bytes) == bytes.size());
  const RecoveredCommit commit = decoded(bytes);
  RC_ASSERT(commit.object == record.object);
  RC_ASSERT(commit.transaction == record.transaction);
  RC_ASSERT(commit.pageCount == record.pageCount);
  RC_ASSERT(commit.reset == record.reset);
  RC_ASSERT(commit.alarm == record.alarm);
  RC_ASSERT(commit.pages.size() == count);
  for (std::size_t i = 0; i < count; i++) {
    RC_ASSERT(commit.pages[i].number == record.pages[i].number);
    Bytes page = i % 2 == 0 ? before[i] : Bytes(kPageBytes, 0x5a);
    RC_ASSERT(commit.pages[i].isWhole || i % 2 == 0);
    RC_ASSERT(commit.pages[i].applyTo(page).has_value());
    RC_ASSERT(page == after[i]);
  }
}

// The reader must refuse or yield something, never read out of bounds: meant for the sanitizers.
RC_GTEST_PROP(Record, DamageIsRefusedOrHarmless, (std::uint64_t seed)) {
  SeededRandom random(seed);
  const Bytes before = pageOf(random);
  const Bytes after = changedPage(before, random);
  CommitRecord record = commitOf(keyOf(1), 7, after);
  if (random.below(2) == 0) record.pages[0].previous = before;
  Bytes bytes;
  encodeRecord(record, bytes);
  for (std::uint64_t i = random.below(4); i > 0; i--) {
    bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
  }
  bytes.resize(random.below(bytes.size() + 1));
  if (!recordLength(bytes)) return;
  auto result = decodeRecord(bytes, Position{1});
  if (!result || !std::holds_alternative<RecoveredCommit>(*result)) return;
  for (const RecoveredPage& page : std::get<RecoveredCommit>(*result).pages) {
    Bytes image = before;
    if (page.applyTo(image)) RC_ASSERT(image == after);
  }
}

TEST(Record, NamespaceDeletionComesBack) {
  NamespaceDeletion deletion;
  deletion.ns.bytes.fill(9);
  Bytes bytes;
  encodeRecord(deletion, bytes);
  auto record = decodeRecord(bytes, Position{1});
  ASSERT_TRUE(record);
  EXPECT_EQ(std::get<NamespaceDeletion>(*record).ns, deletion.ns);
}

TEST(Record, ASmallChangeOfAPageIsASmallRecord) {
  SeededRandom random(1);
  const Bytes before = pageOf(random);
  Bytes after = before;
  after[24]++;
  for (std::size_t i = 3000; i < 3040; i++) after[i] ^= 0x55;
  CommitRecord record = commitOf(keyOf(1), 7, after);
  record.pages[0].previous = before;
  Bytes bytes;
  encodeRecord(record, bytes);
  EXPECT_LT(bytes.size(), 130U);
}

TEST(Record, RowsThatMovedWithinAPageAreASmallRecord) {
  SeededRandom random(1);
  const Bytes before = pageOf(random);
  Bytes after = before;
  std::rotate(after.begin() + 500, after.begin() + 560, after.end());
  CommitRecord record = commitOf(keyOf(1), 7, after);
  record.pages[0].previous = before;
  Bytes bytes;
  encodeRecord(record, bytes);
  EXPECT_LT(bytes.size(), 250U);
}

TEST(Record, AnEmptyPageCostsNothing) {
  Bytes bytes;
  encodeRecord(commitOf(keyOf(1), 7, Bytes(kPageBytes, 0)), bytes);
  EXPECT_LT(bytes.size(), 80U);
}

TEST(Record, AChangeAppliedToTheWrongImageIsRefused) {
  SeededRandom random(1);
  const Bytes before = pageOf(random);
  Bytes after = before;
  after[100]++;
  CommitRecord record = commitOf(keyOf(1), 7, after);
  record.pages[0].previous = before;
  Bytes bytes;
  encodeRecord(record, bytes);
  Bytes other = before;
  other[2000]++;
  const Result<void> applied = decoded(bytes).pages[0].applyTo(other);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Errc::kCorrupt);
}

TEST(Record, ARecordOfASlotIsRefused) {
  Bytes bytes;
  encodeRecord(commitOf(keyOf(1), 7, Bytes(kPageBytes, 0)), bytes);
  bytes[5] = 3;
  const auto record = decodeRecord(bytes, Position{1});
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, Errc::kUnsupported);
}

TEST(Record, UndoImagesAndRestoreRequestsComeBackAsTheyWere) {
  SeededRandom random(4);
  const Bytes page = pageOf(random);
  UndoRecord undo;
  undo.object = keyOf(3);
  undo.from = Position{1ULL << 40};
  undo.filePages = 7;
  undo.pages.push_back({.number = 5, .bytes = page, .previous = {}});
  Bytes bytes;
  encodeRecord(undo, bytes);
  EXPECT_EQ(objectOf(bytes), keyOf(3));
  auto decoded = decodeRecord(bytes, Position{9});
  ASSERT_TRUE(decoded);
  const auto& found = std::get<RecoveredUndo>(*decoded);
  EXPECT_EQ(found.object, undo.object);
  EXPECT_EQ(found.from, undo.from);
  EXPECT_EQ(found.filePages, 7U);
  ASSERT_EQ(found.pages.size(), 1U);
  Bytes image(kPageBytes);
  ASSERT_TRUE(found.pages[0].applyTo(image));
  EXPECT_EQ(image, page);

  for (const std::optional<Position> to : {std::optional<Position>(), std::optional(Position{77})}) {
    const RestoreRequest request{.object = keyOf(2), .to = to};
    encodeRecord(request, bytes);
    EXPECT_EQ(objectOf(bytes), keyOf(2));
    decoded = decodeRecord(bytes, Position{9});
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<RestoreRequest>(*decoded), request);
  }
  encodeRecord(NamespaceDeletion{}, bytes);
  EXPECT_EQ(objectOf(bytes), std::nullopt);
}

TEST(Record, AGroupIsItsRecordsWhole) {
  SeededRandom random(5);
  const Bytes page = pageOf(random);
  const std::vector<CommitRecord> group = {commitOf(keyOf(1), 4, page), commitOf(keyOf(2), 9, page)};
  Bytes bytes;
  encodeRecord(std::span(group), bytes);
  EXPECT_TRUE(isGroup(bytes));
  EXPECT_EQ(objectOf(bytes), std::nullopt);
  EXPECT_FALSE(decodeRecord(bytes, Position{7}));  // one by one only
  const auto members = membersOf(bytes, Position{7});
  ASSERT_TRUE(members);
  ASSERT_EQ(members->size(), 2U);
  for (std::size_t i = 0; i < 2; i++) {
    Bytes alone;
    encodeRecord(group[i], alone);
    EXPECT_EQ(Bytes((*members)[i].begin(), (*members)[i].end()), alone);
    EXPECT_FALSE(isGroup(alone));
  }
}

TEST(Record, AGroupThatDoesNotAddUpIsRefused) {
  SeededRandom random(6);
  const Bytes page = pageOf(random);
  const std::vector<CommitRecord> group = {commitOf(keyOf(1), 4, page), commitOf(keyOf(2), 9, page)};
  Bytes whole;
  encodeRecord(std::span(group), whole);
  for (std::size_t size = 0; size < whole.size(); size++) {
    EXPECT_FALSE(membersOf(BytesView(whole).first(size), Position{7})) << size;
  }
  Bytes counted = whole;
  counted[7]++;  // how many there are
  EXPECT_FALSE(membersOf(counted, Position{7}));
  // A group in a group.
  Bytes nested = whole;
  nested[8 + 4] = 5;
  EXPECT_FALSE(membersOf(nested, Position{7}));
}

}  // namespace
}  // namespace hf::ledger
