#include "server/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace hf::server {
namespace {

TEST(CommandLine, ServeHasTheDocumentedDefaults) {
  const Command command = parseCommandLine({"serve"});
  const auto* serve = std::get_if<ServeOptions>(&command);
  ASSERT_NE(serve, nullptr);
  EXPECT_EQ(serve->directory, "./holdfast-data");
  EXPECT_EQ(serve->listen.text(), "127.0.0.1:8787");
  EXPECT_EQ(serve->api.text(), "127.0.0.1:8788");
  EXPECT_EQ(serve->domain, "localhost");
  EXPECT_GE(serve->shards, 1U);
  EXPECT_TRUE(serve->restarts);
}

TEST(CommandLine, OptionsBeatTheEnvironmentWhichBeatsDefaults) {
  setenv("HOLDFAST_DOMAIN", "from.env", 1);
  setenv("HOLDFAST_SHARDS", "7", 1);
  const Command command = parseCommandLine({"serve", "--shards", "3", "--listen", "[::1]:0", "--log", "json"});
  unsetenv("HOLDFAST_DOMAIN");
  unsetenv("HOLDFAST_SHARDS");
  const auto* serve = std::get_if<ServeOptions>(&command);
  ASSERT_NE(serve, nullptr);
  EXPECT_EQ(serve->domain, "from.env");
  EXPECT_EQ(serve->shards, 3U);
  EXPECT_EQ(serve->listen.text(), "[::1]:0");
  EXPECT_EQ(serve->logFormat, LogFormat::kJson);
}

TEST(CommandLine, WhatIsNotUnderstoodIsNamedWithCodeTwo) {
  struct Wrong {
    std::vector<std::string> arguments;
    std::string named;
  };
  for (const Wrong& wrong : std::vector<Wrong>{
           {{}, "subcommand is required"},
           {{"nonsense"}, "there is no command 'nonsense'"},
           {{"serve", "--nonsense"}, "--nonsense"},
           {{"serve", "--listen", "8787"}, "expected HOST:PORT, got '8787'"},
           {{"serve", "--listen", "h:99999"}, "expected HOST:PORT, got 'h:99999'"},
           {{"serve", "--shards", "0"}, "--shards"},
           {{"serve", "--shards", "x"}, "--shards"},
           {{"serve", "--on-failure", "cry"}, "--on-failure: expected restart or exit, got 'cry'"},
           {{"serve", "--log", "xml"}, "--log: expected text or json, got 'xml'"},
           {{"serve", "--log-level", "loud"}, "--log-level: expected debug, info, warn or error, got 'loud'"},
           {{"serve", "--domain", ""}, "--domain"},
           {{"serve", "--domain", "http://x"}, "--domain is a host name, got 'http://x'"},
           {{"serve", "--token", "a; reboot"}, "--token is made of"},
           {{"serve", "--account-id", "a b"}, "--account-id"}}) {
    const Command command = parseCommandLine(wrong.arguments);
    const auto* leave = std::get_if<Leave>(&command);
    ASSERT_NE(leave, nullptr) << wrong.named;
    EXPECT_EQ(leave->code, 2);
    EXPECT_NE(leave->text.find(wrong.named), std::string::npos) << leave->text;
  }
}

TEST(CommandLine, HelpAndVersionLeaveWithZero) {
  for (const char* flag : {"--help", "--version"}) {
    const Command command = parseCommandLine({flag});
    const auto* leave = std::get_if<Leave>(&command);
    ASSERT_NE(leave, nullptr);
    EXPECT_EQ(leave->code, 0);
    EXPECT_NE(leave->text.find("oldfast"), std::string::npos);
  }
}

TEST(CommandLine, OperatorsCommandsAreUnderstoodAndExplained) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"ledger", "verify", "--json", "dir"},
           {"ledger", "dump", "--object", "0a", "--from", "5", "--to", "9", "--records", "dir"},
           {"object", "list", "--dir", "d", "--limit", "3", "Room"},
           {"object", "export", "--url", "http://127.0.0.1:1", "--token", "t", "Room", "name", "file"},
           {"object", "import", "--id", "Room", "name", "file"},
           {"object", "sql", "--csv", "Room", "name", "SELECT 1"},
           {"backup", "--with-token", "--progress", "dir", "dest"},
           {"restore", "src", "dir"},
           {"history", "dir"}}) {
    EXPECT_TRUE(std::holds_alternative<RunTool>(parseCommandLine(arguments))) << arguments[0];
  }
  const Command help = parseCommandLine({"object", "export", "--help"});
  const auto* leave = std::get_if<Leave>(&help);
  ASSERT_NE(leave, nullptr);
  EXPECT_EQ(leave->code, 0);
  EXPECT_NE(leave->text.find("SYNOPSIS\n    holdfast object export"), std::string::npos);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"ledger"}, {"object", "fly"}, {"backup", "only"}, {"object", "list", "--limit", "0", "Room"}}) {
    const Command wrong = parseCommandLine(arguments);
    ASSERT_TRUE(std::holds_alternative<Leave>(wrong)) << arguments[0];
    EXPECT_EQ(std::get<Leave>(wrong).code, 2);
  }
}

}  // namespace
}  // namespace hf::server
