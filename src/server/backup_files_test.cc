#include "server/backup_files.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "base/fault_disk.h"

namespace hf::server {
namespace {

namespace fs = std::filesystem;

class BackupFilesTest : public ::testing::Test {
 protected:
  BackupFilesTest() {
    root_ = (fs::temp_directory_path() / "hf-backup-XXXXXX").string();
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
  }
  ~BackupFilesTest() override { fs::remove_all(root_); }
  std::string at(const std::string& name) const { return root_ + "/" + name; }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(at(name)).parent_path());
    const auto file = systemDisk().open(at(name), OpenMode::kCreate);
    ASSERT_TRUE(file);
    const BytesView part = asBytes(text);
    ASSERT_TRUE((*file)->writeAt(0, std::span(&part, 1)));
  }
  std::string read(const std::string& name) const {
    const auto file = systemDisk().open(at(name), OpenMode::kRead);
    if (!file) return "!" + file.error().message;
    Bytes bytes((*file)->size().value());
    EXPECT_TRUE((*file)->readAt(0, bytes));
    return std::string(asText(bytes));
  }
  std::string root_;
};

TEST_F(BackupFilesTest, ATreeArrivesWholeAndTheDirectoryAppearsAtTheEndOnly) {
  write("from/objects/aa/x.sqlite", "one");
  write("from/objects/bb/y.sqlite", std::string(200'000, '\0') + "end");
  write("from/alarms", "");
  write("from/lock", "process 1");
  write("from/backup.json", "{}");
  {
    auto made = NewDirectory::create(systemDisk(), at("to/"));
    ASSERT_TRUE(made);
    ASSERT_TRUE(sendTree(systemDisk(), **made, at("from"), ""));
    EXPECT_FALSE(fs::exists(at("to")));
    ASSERT_TRUE((*made)->commit());
    EXPECT_EQ((*made)->files, 3U);
  }
  EXPECT_EQ(read("to/objects/aa/x.sqlite"), "one");
  EXPECT_EQ(read("to/objects/bb/y.sqlite"), read("from/objects/bb/y.sqlite"));
  EXPECT_TRUE(fs::exists(at("to/alarms")));
  EXPECT_EQ(std::distance(fs::directory_iterator(at("to")), {}), 2);
  EXPECT_FALSE(fs::exists(at("to.partial")));
}

TEST_F(BackupFilesTest, AFileIsSentWithTheSizeThatWasAnnouncedAndZerosBehindWhatCounts) {
  write("segment", "0123456789");
  auto made = NewDirectory::create(systemDisk(), at("to"));
  ASSERT_TRUE(made);
  ASSERT_TRUE(sendFile(systemDisk(), **made, at("segment"), "used", 16, 4));
  ASSERT_TRUE(sendFile(systemDisk(), **made, at("segment"), "longer", 12));
  EXPECT_EQ(sendFile(systemDisk(), **made, at("gone"), "gone").error().code, Errc::kNotFound);
  ASSERT_TRUE((*made)->commit());
  EXPECT_EQ(read("to/used"), std::string("0123") + std::string(12, '\0'));
  EXPECT_EQ(read("to/longer"), std::string("0123456789") + std::string(2, '\0'));
  EXPECT_EQ((*made)->bytes, 28U);
}

TEST_F(BackupFilesTest, WhatIsInTheWayIsRefusedAndWhatAKillHasLeftIsNot) {
  write("full/file", "");
  EXPECT_EQ(NewDirectory::create(systemDisk(), at("full")).error().code, Errc::kAlreadyExists);
  EXPECT_EQ(NewDirectory::create(systemDisk(), at("full/file")).error().code, Errc::kAlreadyExists);
  write("mine.partial/file", "not ours");
  EXPECT_EQ(NewDirectory::create(systemDisk(), at("mine")).error().code, Errc::kAlreadyExists);
  EXPECT_EQ(read("mine.partial/file"), "not ours");
  {
    auto killed = NewDirectory::create(systemDisk(), at("to"));
    ASSERT_TRUE(killed);
    ASSERT_TRUE(sendBytes(**killed, "alarms", asBytes("x")));
    fs::copy(at("to.partial"), at("left"), fs::copy_options::recursive);
  }
  EXPECT_FALSE(fs::exists(at("to.partial")));  // given up without a kill
  fs::rename(at("left"), at("to.partial"));
  auto again = NewDirectory::create(systemDisk(), at("to"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(fs::exists(at("to.partial/alarms")));
}

TEST_F(BackupFilesTest, WhateverFailsNoDirectoryAppears) {
  using Operation = FaultDisk::Operation;
  for (const Operation operation : {Operation::kWrite, Operation::kSync, Operation::kRename}) {
    FaultDisk disk(systemDisk());
    auto made = NewDirectory::create(disk, at("to"));
    ASSERT_TRUE(made);
    disk.failAt(operation, 1, Errc::kNoSpace);
    Result<void> done = sendBytes(**made, "alarms", asBytes("x"));
    if (done) done = (*made)->commit();
    ASSERT_FALSE(done);
    made->reset();
    EXPECT_FALSE(fs::exists(at("to")));
    EXPECT_FALSE(fs::exists(at("to.partial")));
  }
}

TEST_F(BackupFilesTest, AManifestIsReadAsItWasWritten) {
  const Manifest written{.version = "0.1.0",
                         .created = "2026-01-01T00:00:00Z",
                         .retired = 5,
                         .end = 1ULL << 40,
                         .files = 3,
                         .bytes = 9,
                         .withToken = true};
  const auto read = parseManifest(manifestText(written), "m");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->end, written.end);
  EXPECT_EQ(read->created, written.created);
  EXPECT_TRUE(read->withToken);
  EXPECT_EQ(parseManifest("{\"format\": 2}", "m").error().code, Errc::kUnsupported);
  for (const char* text : {"", "[]", "{}", "{\"format\": 1}", "{\"format\": 1, \"files\": -1, \"bytes\": 1}"}) {
    EXPECT_EQ(parseManifest(text, "m").error().code, Errc::kCorrupt) << text;
  }
  EXPECT_EQ(readManifest(root_).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace hf::server
