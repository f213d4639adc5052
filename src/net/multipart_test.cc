#include "net/multipart.h"

#include <gtest/gtest.h>

#include <rapidcheck.h>

namespace hf::net {
namespace {

std::string dataOf(const FormPart& part) { return std::string(asText(part.data)); }

Result<std::vector<FormPart>> parse(std::string_view body, std::string_view boundary = "b") {
  return parseMultipart(asBytes(body), boundary);
}

TEST(Multipart, ReadsAnUploadAsWranglerSendsIt) {
  const std::string body =
      "------formdata-undici-012345678901\r\nContent-Disposition: form-data; "
      "name=\"metadata\"\r\n\r\n{\"main_module\":\"i.js\"}\r\n"
      "------formdata-undici-012345678901\r\nContent-Disposition: form-data; name=\"i.js\"; filename=\"i.js\"\r\n"
      "Content-Type: application/javascript+module\r\n\r\nexport default {}\r\n\r\n"
      "------formdata-undici-012345678901\r\nContent-Disposition: form-data; name=\"empty\"; filename=\"\"\r\n\r\n\r\n"
      "------formdata-undici-012345678901--\r\n";
  const auto boundary = multipartBoundary("multipart/form-data; boundary=----formdata-undici-012345678901");
  ASSERT_TRUE(boundary);
  EXPECT_EQ(sniffMultipartBoundary(asBytes(body)), boundary);
  const auto parts = parse(body, *boundary);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  EXPECT_EQ((*parts)[0].name, "metadata");
  EXPECT_EQ((*parts)[0].filename, std::nullopt);
  EXPECT_EQ((*parts)[0].contentType, "");
  EXPECT_EQ(dataOf((*parts)[0]), "{\"main_module\":\"i.js\"}");
  EXPECT_EQ((*parts)[1].filename, "i.js");
  EXPECT_EQ((*parts)[1].contentType, "application/javascript+module");
  EXPECT_EQ(dataOf((*parts)[1]), "export default {}\r\n");
  EXPECT_EQ((*parts)[2].filename, "");
  EXPECT_TRUE((*parts)[2].data.empty());
}

TEST(Multipart, FindsBoundaries) {
  EXPECT_EQ(multipartBoundary("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a'b:c\""), "a'b:c");
  EXPECT_EQ(multipartBoundary("multipart/mixed;boundary=x;"), "x");
  for (const std::string_view none : {"", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
                                      "multipart/form-data; boundary=\"a", "application/javascript; boundary=x",
                                      "multipart/form-data; boundary=\"a\r\nb\""}) {
    EXPECT_EQ(multipartBoundary(none), std::nullopt) << none;
  }
  EXPECT_EQ(sniffMultipartBoundary(asBytes("--abc\r\nContent-")), "abc");
  for (const std::string_view none : {"", "--", "--\r\n", "-abc\r\n", "--abc", "{\"a\":1}", "--a b\r\n"}) {
    EXPECT_EQ(sniffMultipartBoundary(asBytes(none)), std::nullopt) << none;
  }
}

TEST(Multipart, UndoesTheEscapesOfNames) {
  const auto parts = parse(
      "--b\r\ncontent-disposition:form-data;name=\"a%22b%0D%0Ac;d\";filename=\"x\\\"y\\\\z\"\r\n\r\n1\r\n"
      "--b \r\nContent-Disposition: form-data; name=token; filename*=UTF-8''ignored\r\n\r\n\r\n--b-\r\nstill "
      "data\r\n--b--");
  ASSERT_FALSE(parts);  // "--b-" is neither a boundary nor may a line begin with it
  const auto good = parse(
      "--b\r\ncontent-disposition:form-data;name=\"a%22b%0D%0Ac;d\";filename=\"x\\\"y\\\\z\"\r\n\r\n1\r\n"
      "--b \r\nContent-Disposition: form-data; name=token; filename*=UTF-8''ignored\r\n\r\n-b, "
      "\r\n--\r\n--b--epilogue");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ((*good)[0].name, "a\"b\r\nc;d");
  EXPECT_EQ((*good)[0].filename, "x\"y\\z");
  EXPECT_EQ((*good)[1].name, "token");
  EXPECT_EQ((*good)[1].filename, std::nullopt);
  EXPECT_EQ(dataOf((*good)[1]), "-b, \r\n--");
}

TEST(Multipart, RefusesWhatIsNotWellFormed) {
  const std::string head = "Content-Disposition: form-data; name=a\r\n\r\n";
  for (const std::string& body :
       std::vector<std::string>{"", "--", "--b", "--c\r\n" + head + "x\r\n--c--", "--b\r\n" + head + "x",
                                "--b\r\n" + head + "x\r\n--b", "--b\r\n" + head + "x\n--b--",
                                "--b\n" + head + "x\r\n--b--", "--b\r\nContent-Disposition: form-data; name=a\r\n",
                                "--b\r\n\r\nno name\r\n--b--", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--",
                                "--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--",
                                "--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b--",
                                "--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--b--",
                                "--b\r\nContent-Disposition form-data\r\n\r\nx\r\n--b--",
                                "--b\r\nContent-Transfer-Encoding: base64\r\n" + head + "eA==\r\n--b--",
                                "preamble\r\n--b\r\n" + head + "x\r\n--b--"}) {
    const auto parts = parse(body);
    ASSERT_FALSE(parts) << body;
    EXPECT_EQ(parts.error().code, Errc::kInvalidArgument);
  }
  EXPECT_FALSE(parse("--\r\n", ""));
  const auto big = parse("--b\r\nX: " + std::string(20'000, 'x') + "\r\n" + head + "x\r\n--b--");
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().code, Errc::kLimit);
  const auto none = parse("--b--");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

TEST(Multipart, AnyDataWithoutTheBoundaryComesBackUnchanged) {
  rc::check([](const std::vector<std::string>& data) {
    const std::string boundary = "a-boundary-that-chance-does-not-make";
    std::string body;
    for (const std::string& piece : data) {
      body += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + piece + "\r\n";
    }
    body += "--" + boundary + "--\r\n";
    const auto parts = parse(body, boundary);
    RC_ASSERT(parts.has_value());
    RC_ASSERT(parts->size() == data.size());
    for (std::size_t i = 0; i < data.size(); i++) RC_ASSERT(dataOf((*parts)[i]) == data[i]);
  });
}

}  // namespace
}  // namespace hf::net
