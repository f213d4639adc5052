#include "base/sim_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>

namespace hf {
namespace {

using Unsynced = SimDisk::Unsynced;

class SimDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk.makeDirectories("/d"));
    ASSERT_TRUE(disk.syncDirectory(""));
  }
  std::unique_ptr<File> make(const std::string& path) {
    auto file = disk.open(path, OpenMode::kCreate);
    EXPECT_TRUE(file);
    return std::move(*file);
  }
  static void write(File& file, std::uint64_t offset, const Bytes& bytes) {
    const std::array<BytesView, 1> parts = {bytes};
    ASSERT_TRUE(file.writeAt(offset, parts));
  }
  std::optional<Bytes> content(const std::string& path) {
    auto file = disk.open(path, OpenMode::kRead);
    if (!file) return std::nullopt;
    Bytes bytes(*(*file)->size());
    EXPECT_TRUE((*file)->readAt(0, bytes));
    return bytes;
  }

  SimDisk disk{7};
};

TEST_F(SimDiskTest, ForgetsWhatWasNotSynced) {
  auto file = make("/d/f");
  write(*file, 0, Bytes(2000, 1));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.syncDirectory("/d"));
  write(*file, 0, Bytes(2000, 2));
  EXPECT_EQ(content("/d/f"), Bytes(2000, 2));
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_EQ(content("/d/f"), Bytes(2000, 1));
  EXPECT_FALSE(file->sync()) << "files do not stay open over a power loss";
}

TEST_F(SimDiskTest, TearsBySectors) {
  auto file = make("/d/f");
  write(*file, 0, Bytes(8192, 1));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.syncDirectory("/d"));
  bool torn = false;
  for (int i = 0; i < 20 && !torn; i++) {
    auto again = disk.open("/d/f", OpenMode::kReadWrite);
    write(**again, 0, Bytes(8192, 1));
    ASSERT_TRUE((*again)->sync());
    write(**again, 0, Bytes(8192, 2));
    disk.powerOn(Unsynced::kByChance);
    const Bytes bytes = *content("/d/f");
    torn = std::ranges::count(bytes, 1) > 0 && std::ranges::count(bytes, 2) > 0;
    for (std::size_t at = 0; at < bytes.size(); at++) ASSERT_EQ(bytes[at], bytes[at & ~std::size_t{511}]);
  }
  EXPECT_TRUE(torn);
}

TEST_F(SimDiskTest, NamesAreDurableWithTheirDirectory) {
  auto file = make("/d/f");
  write(*file, 0, Bytes(10, 1));
  ASSERT_TRUE(file->sync());
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_FALSE(content("/d/f"));
  file = make("/d/f");
  write(*file, 0, Bytes(10, 1));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.syncDirectory("/d"));
  ASSERT_TRUE(disk.rename("/d/f", "/d/g"));
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_TRUE(content("/d/f"));
  EXPECT_FALSE(content("/d/g"));
}

TEST_F(SimDiskTest, AFailedSyncLeavesWhatLooksCleanAndIsNot) {
  auto file = make("/d/f");
  ASSERT_TRUE(file->allocate(600));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.syncDirectory("/d"));
  write(*file, 0, Bytes(600, 1));
  disk.failSyncAt(1);
  EXPECT_FALSE(file->sync());
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(content("/d/f"), Bytes(600, 1));
  disk.powerOn(Unsynced::kKept);
  EXPECT_EQ(content("/d/f"), Bytes(600, 0));
}

TEST_F(SimDiskTest, PowerGoesAtTheOperationThatWasAskedFor) {
  auto file = make("/d/f");
  disk.losePowerAt(2);
  write(*file, 0, Bytes(1, 1));
  EXPECT_FALSE(file->sync());
  EXPECT_FALSE(disk.hasPower());
  EXPECT_FALSE(disk.list("/d"));
  disk.powerOn(Unsynced::kKept);
  EXPECT_EQ(content("/d/f"), Bytes(1, 1));
}

TEST_F(SimDiskTest, IsFullAtItsCapacity) {
  auto file = make("/d/f");
  disk.setCapacity(1000);
  EXPECT_TRUE(file->allocate(1000));
  EXPECT_EQ(file->allocate(1001).error().code, Errc::kNoSpace);
  EXPECT_EQ(*disk.freeBytes("/d"), 0U);
  ASSERT_TRUE(disk.remove("/d/f"));
  EXPECT_EQ(*disk.freeBytes("/d"), 1000U);
}

TEST_F(SimDiskTest, ChangesOfDirectoriesSurviveInOrderOrEachOnItsOwn) {
  for (const auto directories : {SimDisk::Directories::kInOrder, SimDisk::Directories::kAnyOrder}) {
    bool secondAlone = false;
    for (std::uint64_t seed = 1; seed <= 40; seed++) {
      SimDisk other(seed, directories);
      ASSERT_TRUE(other.makeDirectories("/d"));
      ASSERT_TRUE(other.syncDirectory(""));
      ASSERT_TRUE(other.open("/d/first", OpenMode::kCreate));
      ASSERT_TRUE(other.open("/d/second", OpenMode::kCreate));
      other.powerOn(Unsynced::kByChance);
      secondAlone = secondAlone || (*other.exists("/d/second") && !*other.exists("/d/first"));
    }
    EXPECT_EQ(secondAlone, directories == SimDisk::Directories::kAnyOrder);
  }
}

TEST_F(SimDiskTest, WhatLiesInALostDirectoryIsLost) {
  ASSERT_TRUE(disk.makeDirectories("/d/e"));
  auto file = make("/d/e/f");
  ASSERT_TRUE(file->sync());
  SimDisk other(1, SimDisk::Directories::kAnyOrder);
  ASSERT_TRUE(other.makeDirectories("/a/b"));
  ASSERT_TRUE(other.open("/a/b/c", OpenMode::kCreate));
  ASSERT_TRUE(other.syncDirectory("/a/b"));
  other.powerOn(Unsynced::kForgotten);
  EXPECT_FALSE(*other.exists("/a/b/c")) << "its directory was never synced into its parent";
}

TEST_F(SimDiskTest, TheEndOfTheProcessForgetsNothingAndMakesNothingDurable) {
  auto file = make("/d/f");
  ASSERT_TRUE(disk.syncDirectory("/d"));
  write(*file, 0, Bytes(600, 1));
  disk.endProcess();
  EXPECT_FALSE(file->sync());
  EXPECT_EQ(content("/d/f"), Bytes(600, 1));
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_EQ(content("/d/f"), Bytes());
}

TEST_F(SimDiskTest, AFailedWriteMayHaveWrittenAPart) {
  auto file = make("/d/f");
  bool part = false;
  for (int i = 0; i < 20; i++) {
    write(*file, 0, Bytes(2000, 1));
    disk.failAt(SimDisk::Operation::kWrite, 1, Errc::kNoSpace);
    const Bytes bytes(2000, 2);
    const std::array<BytesView, 1> parts = {bytes};
    const auto written = file->writeAt(0, parts);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::kNoSpace);
    const Bytes now = *content("/d/f");
    part = part || (now.front() == 2 && now.back() == 1);
  }
  EXPECT_TRUE(part);
  write(*file, 0, Bytes(2000, 3));
  EXPECT_TRUE(disk.clearFailures());
}

TEST_F(SimDiskTest, AShortenedFileIsAsLongAsItWasUntilItIsSynced) {
  auto file = make("/d/f");
  write(*file, 0, Bytes(3000, 1));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.syncDirectory("/d"));
  ASSERT_TRUE(file->truncate(100));
  write(*file, 100, Bytes(1000, 2));
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_EQ(content("/d/f"), Bytes(3000, 1));
  file = make("/d/f");
  ASSERT_TRUE(file->truncate(100));
  ASSERT_TRUE(file->sync());
  disk.powerOn(Unsynced::kForgotten);
  EXPECT_EQ(content("/d/f"), Bytes(100, 1));
}

}  // namespace
}  // namespace hf
