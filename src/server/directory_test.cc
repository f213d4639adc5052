#include "server/directory.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace hf::server {
namespace {

class Directory : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-directory-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string path_;
};

TEST_F(Directory, IsHeldByOneServerAndTheSecondIsToldByWhom) {
  auto first = DirectoryLock::take(path_);
  ASSERT_TRUE(first);
  const auto second = DirectoryLock::take(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
  first->reset();
  EXPECT_TRUE(DirectoryLock::take(path_));
}

TEST_F(Directory, TokenIsMadeOnceAndOnlyTheOwnerReadsIt) {
  const auto made = readOrMakeToken(path_);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->size(), 40U);
  EXPECT_EQ(*readOrMakeToken(path_), *made);
  struct stat info{};
  ASSERT_EQ(::stat((path_ + "/token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(Directory, ATokenFileThatCannotBeATokenIsRefused) {
  for (const char* text : {"", "\n", "two words\n", "$(reboot)\n"}) {
    std::ofstream(path_ + "/token") << text;
    const auto token = readOrMakeToken(path_);
    ASSERT_FALSE(token) << text;
    EXPECT_NE(token.error().message.find("delete it"), std::string::npos);
  }
}

TEST_F(Directory, EnvironmentTellsWhatWranglerAndTheSdkNeed) {
  EXPECT_EQ(environmentLines(path_).error().code, Errc::kNotFound);
  ASSERT_TRUE(
      writeNodeInfo(path_, {.api = "127.0.0.1:99", .listen = "127.0.0.1:98", .accountId = "acme", .token = "t0"}));
  EXPECT_EQ(*environmentLines(path_),
            "export CLOUDFLARE_API_BASE_URL=http://127.0.0.1:99/client/v4\n"
            "export CLOUDFLARE_API_TOKEN=t0\n"
            "export CLOUDFLARE_ACCOUNT_ID=acme\n"
            "export CLOUDFLARE_BASE_URL=http://127.0.0.1:99/client/v4\n");
}

}  // namespace
}  // namespace hf::server
