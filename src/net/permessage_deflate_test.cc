#include "net/permessage_deflate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hf::net {
namespace {

Bytes bytesOf(std::string_view text) { return {asBytes(text).begin(), asBytes(text).end()}; }

std::string answerTo(std::string_view offers) {
  const auto agreement = negotiateDeflate(offers);
  return agreement ? deflateAnswer(*agreement) : "none";
}

const std::string kPlain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

TEST(PermessageDeflate, TheFirstOfferThatCanBeMetIsTaken) {
  EXPECT_EQ(answerTo("permessage-deflate"), kPlain);
  EXPECT_EQ(answerTo("permessage-deflate; client_max_window_bits"), kPlain);
  EXPECT_EQ(answerTo("x-other, permessage-deflate ; client_no_context_takeover; client_max_window_bits=\"10\""),
            kPlain);
  EXPECT_EQ(answerTo("permessage-deflate; server_max_window_bits=10"), kPlain + "; server_max_window_bits=10");
  EXPECT_EQ(answerTo("permessage-deflate; server_max_window_bits=8, permessage-deflate"), kPlain);
  for (const char* wrong :
       {"", ",", "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=8", "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits; client_max_window_bits"}) {
    EXPECT_EQ(answerTo(wrong), "none") << wrong;
  }
}

TEST(PermessageDeflate, WhatIsDeflatedIsInflatedAgainWithEachWindow) {
  for (int bits = 9; bits <= 15; bits++) {
    Bytes message;
    for (int i = 0; i < 200'000; i++) message.push_back(static_cast<std::uint8_t>(i % 251 + i / 7000));
    Bytes payload;
    ASSERT_TRUE(deflateMessage(message, {.windowBits = bits}, payload));
    EXPECT_LT(payload.size(), message.size());
    Bytes back;
    ASSERT_EQ(inflateMessage(payload, message.size(), back), Inflate::kOk);
    EXPECT_EQ(back, message);
  }
}

TEST(PermessageDeflate, WhatWouldNotBeShorterIsLeftAlone) {
  Bytes noise;
  std::uint32_t x = 1;
  for (int i = 0; i < 1000; i++) noise.push_back(static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24));
  Bytes payload = bytesOf("before");
  EXPECT_FALSE(deflateMessage(noise, {}, payload));
  EXPECT_EQ(payload, bytesOf("before"));
}

TEST(PermessageDeflate, ABombIsStoppedAtTheLimit) {
  const Bytes zeros(64 * 1024 * 1024);
  Bytes payload;
  ASSERT_TRUE(deflateMessage(zeros, {}, payload));
  EXPECT_LT(payload.size(), 400'000U);
  Bytes out;
  EXPECT_EQ(inflateMessage(payload, 1024 * 1024, out), Inflate::kTooLarge);
  EXPECT_LE(out.capacity(), 2U * 1024 * 1024);
  out.clear();
  EXPECT_EQ(inflateMessage(payload, zeros.size(), out), Inflate::kOk);
  EXPECT_EQ(out.size(), zeros.size());
}

TEST(PermessageDeflate, PayloadsOfTheRfc) {
  const auto inflated = [](Bytes payload) {
    Bytes out;
    EXPECT_EQ(inflateMessage(payload, 100, out), Inflate::kOk);
    return std::string(asText(out));
  };
  EXPECT_EQ(inflated({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), "Hello");
  EXPECT_EQ(inflated({0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00}), "Hello");  // stored
  EXPECT_EQ(inflated({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}), "Hello");                    // final
  EXPECT_EQ(inflated({0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00}), "Hello");  // two
  EXPECT_EQ(inflated({0x00}), "");
  Bytes out;
  EXPECT_EQ(inflateMessage(Bytes{0xff, 0xff, 0xff}, 100, out), Inflate::kCorrupt);
}

// Whatever came before, a message stands for itself.
RC_GTEST_PROP(PermessageDeflate, AnythingInIsBoundedOut, (const Bytes& payload)) {
  Bytes out;
  const Inflate result = inflateMessage(payload, 500, out);
  RC_ASSERT(out.size() <= 500U);
  Bytes again;
  RC_ASSERT(inflateMessage(payload, 500, again) == result);
  RC_ASSERT(out == again);
}

}  // namespace
}  // namespace hf::net
