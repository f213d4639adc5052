#include "base/disk.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>

#include "base/random.h"

namespace hf {
namespace {

class SystemDiskTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk.makeDirectories(directory)); }
  void TearDown() override { EXPECT_TRUE(disk.removeTree(directory)); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory + "/" + name; }

  Disk& disk = systemDisk();
  const std::string directory = testing::TempDir() + "hf_disk_test_" + std::to_string(systemRandom().next64()) + "/a/b";
};

TEST_F(SystemDiskTest, WritesManyPartsAndReadsThemBack) {
  auto file = disk.open(path("f"), OpenMode::kCreateNew);
  ASSERT_TRUE(file);
  // More parts than the kernel takes with one call, some of them empty.
  std::vector<Bytes> bytes;
  std::vector<BytesView> parts;
  Bytes expected(100, 0);
  for (std::size_t i = 0; i < 3000; i++) {
    bytes.emplace_back(i % 7, static_cast<std::uint8_t>(i));
    expected.insert(expected.end(), bytes.back().begin(), bytes.back().end());
  }
  for (const Bytes& part : bytes) parts.emplace_back(part);
  ASSERT_TRUE((*file)->writeAt(100, parts));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(*(*file)->size(), expected.size());
  Bytes read(expected.size() + 50);
  EXPECT_EQ(*(*file)->readAt(0, read), expected.size());
  read.resize(expected.size());
  EXPECT_EQ(read, expected);
  EXPECT_EQ(*(*file)->readAt(expected.size() + 10, read), 0U);
}

TEST_F(SystemDiskTest, ReservesAndTruncates) {
  auto file = disk.open(path("f"), OpenMode::kCreate);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->allocate(100'000));
  EXPECT_EQ(*(*file)->size(), 100'000U);
  ASSERT_TRUE((*file)->truncate(10));
  EXPECT_EQ(*(*file)->size(), 10U);
}

TEST_F(SystemDiskTest, OpensAsTheModeSays) {
  EXPECT_EQ(disk.open(path("f"), OpenMode::kRead).error().code, Errc::kNotFound);
  EXPECT_EQ(disk.open(path("f"), OpenMode::kReadWrite).error().code, Errc::kNotFound);
  EXPECT_TRUE(disk.open(path("f"), OpenMode::kCreateNew));
  EXPECT_EQ(disk.open(path("f"), OpenMode::kCreateNew).error().code, Errc::kAlreadyExists);
  auto file = disk.open(path("f"), OpenMode::kRead);
  ASSERT_TRUE(file);
  const std::array<BytesView, 1> parts = {asBytes("x")};
  const Result<void> written = (*file)->writeAt(0, parts);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kIo);
  EXPECT_NE(written.error().message.find(path("f")), std::string::npos);
}

TEST_F(SystemDiskTest, ListsRenamesRemoves) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(disk.open(path(name), OpenMode::kCreateNew));
  EXPECT_EQ(*disk.list(directory), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(disk.rename(path("a"), path("c")));
  ASSERT_TRUE(disk.remove(path("b")));
  ASSERT_TRUE(disk.syncDirectory(directory));
  EXPECT_EQ(*disk.list(directory), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(*disk.exists(path("c")));
  EXPECT_FALSE(*disk.exists(path("c/d")));
  EXPECT_EQ(disk.remove(path("b")).error().code, Errc::kNotFound);
  EXPECT_EQ(disk.list(path("b")).error().code, Errc::kNotFound);
  EXPECT_TRUE(disk.removeTree(path("never was")));
  EXPECT_GT(*disk.freeBytes(directory), 0U);
}

}  // namespace
}  // namespace hf
