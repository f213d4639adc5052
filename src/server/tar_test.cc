#include "server/tar.h"

#include <gtest/gtest.h>

#include <map>

namespace hf::server {
namespace {

class Collected final : public BackupSink {
 public:
  std::map<std::string, std::string> files;
  Result<void> begin(const std::string& name, std::uint64_t) override {
    name_ = name;
    files[name_] = "";
    return {};
  }
  Result<void> write(BytesView bytes) override {
    files[name_] += asText(bytes);
    return {};
  }
  Result<void> end() override {
    ended++;
    return {};
  }
  int ended = 0;

 private:
  std::string name_;
};

void add(Bytes& archive, const std::string& name, const std::string& content) {
  const auto header = tarHeader(name, content.size());
  ASSERT_TRUE(header) << header.error().message;
  archive.insert(archive.end(), header->begin(), header->end());
  archive.insert(archive.end(), content.begin(), content.end());
  archive.resize(archive.size() + tarPadding(content.size()));
}

TEST(Tar, WhatIsWrittenIsReadHoweverItIsCut) {
  const std::map<std::string, std::string> files = {
      {"alarms", std::string(511, 'a')},
      {"empty", ""},
      {"objects/" + std::string(32, 'b') + "/cc/" + std::string(64, 'd') + ".sqlite", std::string(1024, 'e')},
  };
  Bytes archive;
  for (const auto& [name, content] : files) add(archive, name, content);
  archive.resize(archive.size() + kTarEndBytes);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{512}, archive.size()}) {
    Collected collected;
    TarReader reader(collected);
    for (std::size_t at = 0; at < archive.size(); at += step) {
      EXPECT_EQ(reader.isComplete() && at < archive.size() - kTarBlockBytes - step, false);
      ASSERT_TRUE(reader.feed(BytesView(archive).subspan(at, std::min(step, archive.size() - at))));
    }
    EXPECT_TRUE(reader.isComplete());
    EXPECT_EQ(collected.files, files);
    EXPECT_EQ(collected.ended, 3);
  }
}

TEST(Tar, DamageAndNamesThatLeadOutAreRefused) {
  Bytes archive;
  add(archive, "alarms", "x");
  archive[3] ^= 1;
  Collected collected;
  EXPECT_EQ(TarReader(collected).feed(archive).error().code, Errc::kCorrupt);
  for (const char* name : {"../x", "/etc/x", "a/../../b", "a//b", "a b"}) {
    Bytes hostile;
    add(hostile, name, "x");
    EXPECT_EQ(TarReader(collected).feed(hostile).error().code, Errc::kCorrupt) << name;
  }
  EXPECT_FALSE(tarHeader(std::string(200, 'x'), 0));
}

TEST(Tar, LargeFilesHaveTheirSize) {
  const std::uint64_t bytes = 9ULL << 33;
  const auto header = tarHeader("large", bytes);
  ASSERT_TRUE(header);
  class Size final : public BackupSink {
   public:
    std::uint64_t bytes = 0;
    Result<void> begin(const std::string&, std::uint64_t size) override {
      bytes = size;
      return {};
    }
    Result<void> write(BytesView) override { return {}; }
    Result<void> end() override { return {}; }
  } sink;
  EXPECT_TRUE(TarReader(sink).feed(*header));
  EXPECT_EQ(sink.bytes, bytes);
}

}  // namespace
}  // namespace hf::server
