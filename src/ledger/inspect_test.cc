// A ledger is looked at without being changed; a copy that is taken while it is written recovers.
#include "ledger/inspect.h"

#include <gtest/gtest.h>

#include <array>

#include "base/sim_disk.h"
#include "ledger/ledger_test_support.h"

namespace hf::ledger {
namespace {

// Refuses every change, so that a test sees that none was tried.
class Frozen final : public Disk {
 public:
  explicit Frozen(Disk& disk) : disk_(disk) {}
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    if (mode != OpenMode::kRead) return refused(path);
    return disk_.open(path, mode);
  }
  Result<std::vector<std::string>> list(const std::string& directory) override { return disk_.list(directory); }
  Result<void> makeDirectories(const std::string& path) override { return refused(path); }
  Result<void> rename(const std::string& from, const std::string&) override { return refused(from); }
  Result<void> remove(const std::string& path) override { return refused(path); }
  Result<void> removeTree(const std::string& path) override { return refused(path); }
  Result<void> syncDirectory(const std::string& path) override { return refused(path); }
  Result<std::unique_ptr<FileSystem>> openFileSystem(const std::string& path) override { return refused(path); }
  Result<bool> exists(const std::string& path) override { return disk_.exists(path); }
  Result<std::uint64_t> freeBytes(const std::string& path) override { return disk_.freeBytes(path); }

 private:
  static std::unexpected<Error> refused(const std::string& path) { return fail(Errc::kPermission, "changed " + path); }
  Disk& disk_;
};

class Counter final : public ScanObserver {
 public:
  int segments = 0;
  int batches = 0;
  int records = 0;
  std::uint64_t recordBytes = 0;
  std::uint64_t secondBatchAt = 0;
  std::string secondBatchIn;

  void onSegment(const SegmentFile& segment, const SegmentHeader&) override {
    segments++;
    path_ = segment.path;
  }
  void onBatch(const BatchHeader&, std::uint64_t offset, std::uint64_t) override {
    if (++batches != 2) return;
    secondBatchAt = offset;
    secondBatchIn = path_;
  }
  void onRecord(Position, BytesView bytes) override {
    records++;
    recordBytes += bytes.size();
  }

 private:
  std::string path_;
};

class InspectTest : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> open(const std::string& directory = "/ledger") {
    LedgerOptions options = smallOptions();
    options.directory = directory;
    replayer_ = {};
    auto ledger = openLedger(disk_, options, replayer_);
    EXPECT_TRUE(ledger) << ledger.error().message;
    return std::move(*ledger);
  }
  Position append(Ledger& ledger, int count) {
    Position end;
    for (int i = 0; i < count; i++) {
      auto appended = ledger.append(commitOf(keyOf(1), ++transaction_, pageOf(random_)));
      EXPECT_TRUE(appended);
      end = *appended;
      EXPECT_TRUE(ledger.waitDurable(end));
    }
    return end;
  }
  Inspection inspect(ScanObserver* observer = nullptr) {
    Frozen frozen(disk_);
    CollectingReplayer replayer;
    auto found = inspectLedger(frozen, "/ledger", replayer, observer);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : Inspection();
  }
  void damage(const std::string& path, std::uint64_t offset) {
    const auto file = disk_.open(path, OpenMode::kReadWrite);
    ASSERT_TRUE(file);
    std::array<std::uint8_t, 1> byte{};
    ASSERT_TRUE((*file)->readAt(offset, byte));
    byte[0] ^= 0x10;
    const std::array<BytesView, 1> parts = {byte};
    ASSERT_TRUE((*file)->writeAt(offset, parts));
  }
  // Writes what a backup gives to another directory.
  void store(const LedgerBackup::Parts& parts, const std::string& directory) {
    ASSERT_TRUE(disk_.makeDirectories(directory));
    for (const LedgerBackup::Part& part : parts.files) {
      Bytes bytes = part.bytes;
      if (!part.sourcePath.empty()) {
        const auto source = disk_.open(part.sourcePath, OpenMode::kRead);
        ASSERT_TRUE(source);
        bytes.resize(part.usedBytes);
        ASSERT_EQ((*source)->readAt(0, bytes), part.usedBytes);
      }
      const auto file = disk_.open(directory + "/" + part.name, OpenMode::kCreateNew);
      ASSERT_TRUE(file);
      const std::array<BytesView, 1> written = {bytes};
      ASSERT_TRUE((*file)->writeAt(0, written));
      ASSERT_TRUE((*file)->truncate(part.fileBytes));
    }
  }

  SeededRandom random_{7};
  SimDisk disk_{7};
  CollectingReplayer replayer_;
  std::uint64_t transaction_ = 0;
};

TEST_F(InspectTest, AWholeLedgerHasNoFindingsAndIsNotChanged) {
  {
    append(*open(), 40);
  }
  Counter counter;
  const Inspection found = inspect(&counter);
  EXPECT_TRUE(found.findings.empty());
  EXPECT_EQ(counter.records, 40);
  EXPECT_GE(counter.batches, 40) << "a record that crosses into another segment has one in each";
  EXPECT_EQ(found.report.records, 40U);
  EXPECT_EQ(counter.recordBytes, found.tail.value);
  EXPECT_GT(counter.segments, 1);
  EXPECT_EQ(found.segments, static_cast<std::uint64_t>(counter.segments));
}

TEST_F(InspectTest, DamageIsReportedWithFileAndOffset) {
  {
    append(*open(), 10);
  }
  Counter counter;
  inspect(&counter);
  damage(counter.secondBatchIn, counter.secondBatchAt + 60);
  const Inspection found = inspect();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].file, counter.secondBatchIn);
  EXPECT_EQ(found.findings[0].offset, counter.secondBatchAt);
}

TEST_F(InspectTest, ADamagedCopyOfAHeaderIsReportedThoughTheOtherServes) {
  {
    append(*open(), 3);
  }
  Counter counter;
  inspect(&counter);
  damage(counter.secondBatchIn, kBlockBytes + 20);
  const Inspection found = inspect();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].offset, kBlockBytes);
  EXPECT_EQ(found.report.records, 3U);
}

TEST_F(InspectTest, ADamagedMarkIsReported) {
  {
    append(*open(), 3);
  }
  damage("/ledger/mark", 17);
  const Inspection found = inspect();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_NE(found.findings[0].what.find("/ledger/mark is damaged at offset 0"), std::string::npos);
}

TEST_F(InspectTest, ABackupHoldsWhatItNeedsWhileTheLedgerRetires) {
  const auto ledger = open();
  append(*ledger, 5);
  EXPECT_TRUE(ledger->retire(ledger->durable()));
  const Position retired = ledger->retired();
  append(*ledger, 30);
  auto backup = ledger->beginBackup();
  ASSERT_TRUE(backup);
  EXPECT_EQ((*backup)->retired(), retired);
  append(*ledger, 40);
  EXPECT_TRUE(ledger->retire(ledger->durable()));  // a checkpoint came between
  append(*ledger, 5);
  const auto parts = (*backup)->parts();
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->end, ledger->durable());
  append(*ledger, 5);  // after the copy's end; the files may be read later
  EXPECT_TRUE(ledger->retire(ledger->durable()));
  store(*parts, "/copy");

  {
    const auto copy = open("/copy");
    EXPECT_EQ(copy->retired(), retired);
    EXPECT_EQ(copy->durable(), parts->end);
    EXPECT_EQ(replayer_.commits.size(), 75U);
  }
  const std::uint64_t before = ledger->stats().segments;
  backup->reset();
  append(*ledger, 1);
  EXPECT_TRUE(ledger->retire(ledger->durable()));
  EXPECT_LT(ledger->stats().segments, before);
}

TEST_F(InspectTest, ABackupOfALedgerWithoutSegmentsIsAMark) {
  const auto ledger = open();
  const auto backup = ledger->beginBackup();
  ASSERT_TRUE(backup);
  const auto parts = (*backup)->parts();
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->files.size(), 1U);
  store(*parts, "/copy");
  EXPECT_EQ(open("/copy")->durable(), Position{0});
}

}  // namespace
}  // namespace hf::ledger
