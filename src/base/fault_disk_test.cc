#include "base/fault_disk.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <future>
#include <string>

#include "base/random.h"
#include "base/sim_disk.h"

namespace hf {
namespace {

using Operation = FaultDisk::Operation;

class FaultDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(systemDisk().makeDirectories(control));
    ASSERT_TRUE(sim.makeDirectories("/d"));
    auto opened = disk.open("/d/f", OpenMode::kCreate);
    ASSERT_TRUE(opened);
    file = std::move(*opened);
  }
  void TearDown() override { EXPECT_TRUE(systemDisk().removeTree(control)); }
  void flag(const std::string& name, const std::string& text = "") const {
    std::ofstream(control + "/" + name) << text;
  }
  void unflag(const std::string& name) const { ASSERT_TRUE(systemDisk().remove(control + "/" + name)); }
  Result<void> write(std::uint64_t offset, std::string_view text) {
    const std::array<BytesView, 1> parts = {asBytes(text)};
    return file->writeAt(offset, parts);
  }
  Result<std::size_t> read() {
    std::array<std::uint8_t, 4> out;
    return file->readAt(0, out);
  }

  const std::string control = testing::TempDir() + "hf_fault_test_" + std::to_string(systemRandom().next64());
  SimDisk sim{1};
  FaultDisk disk{sim, control};
  std::unique_ptr<File> file;
};

TEST_F(FaultDiskTest, TheNthOperationFailsAndOnlyThat) {
  disk.failAt(Operation::kWrite, 2, Errc::kIo);
  EXPECT_TRUE(write(0, "a"));
  EXPECT_EQ(write(0, "b").error().code, Errc::kIo);
  EXPECT_TRUE(write(1, "c"));
  std::array<std::uint8_t, 2> out;
  ASSERT_TRUE(file->readAt(0, out));
  EXPECT_EQ(asText(out), "ac");
  disk.failAt(Operation::kSync, 1, Errc::kIo);
  EXPECT_FALSE(file->sync());
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(disk.count(Operation::kWrite), 3U);
  EXPECT_EQ(disk.count(Operation::kSync), 2U);
}

TEST_F(FaultDiskTest, ControlFilesFailWhatTheyName) {
  flag("eio-write");
  EXPECT_EQ(write(0, "a").error().code, Errc::kIo);
  EXPECT_TRUE(file->sync());
  unflag("eio-write");
  EXPECT_TRUE(write(0, "abcd"));
  flag("eio-sync");
  flag("eio-read");
  EXPECT_EQ(file->sync().error().code, Errc::kIo);
  EXPECT_EQ(read().error().code, Errc::kIo);
  unflag("eio-sync");
  unflag("eio-read");
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(read());
}

TEST_F(FaultDiskTest, AFullDiskStillTakesWhatIsReserved) {
  ASSERT_TRUE(file->allocate(100));
  flag("enospc");
  EXPECT_TRUE(write(50, "inside"));
  EXPECT_EQ(write(98, "outside").error().code, Errc::kNoSpace);
  EXPECT_EQ(file->allocate(200).error().code, Errc::kNoSpace);
  EXPECT_EQ(disk.open("/d/g", OpenMode::kCreate).error().code, Errc::kNoSpace);
  EXPECT_TRUE(disk.open("/d/f", OpenMode::kCreate));
  EXPECT_EQ(disk.makeDirectories("/e").error().code, Errc::kNoSpace);
  EXPECT_EQ(*disk.freeBytes("/d"), 0U);
  unflag("enospc");
  EXPECT_TRUE(file->allocate(200));
}

TEST_F(FaultDiskTest, TextInAControlFileNamesThePathsItConcerns) {
  flag("eio-write", "/d/g\n");
  EXPECT_TRUE(write(0, "a"));
  flag("eio-write", "/d/f\n");
  EXPECT_FALSE(write(0, "a"));
}

TEST_F(FaultDiskTest, AHeldSyncWaitsUntilTheFlagIsGone) {
  flag("hold-sync");
  auto synced = std::async(std::launch::async, [&] { return file->sync().has_value(); });
  EXPECT_EQ(synced.wait_for(std::chrono::milliseconds(30)), std::future_status::timeout);
  unflag("hold-sync");
  EXPECT_TRUE(synced.get());
}

TEST_F(FaultDiskTest, AHeldSyncWaitsUntilItIsReleased) {
  disk.holdSyncs("/d/f");
  auto synced = std::async(std::launch::async, [&] { return file->sync().has_value(); });
  disk.awaitHeldSyncs(1);
  EXPECT_EQ(synced.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  disk.releaseSyncs();
  EXPECT_TRUE(synced.get());
  disk.holdSyncs("elsewhere");
  EXPECT_TRUE(file->sync());
}

}  // namespace
}  // namespace hf
