#include "server/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>
#include <memory>
#include <thread>

#include "server/commands/command_line.h"

namespace hf::server {
namespace {

constexpr int kExitUsage = 2;

CLI::Validator endpointValidator() {
  return {
      [](std::string& text) { return parseEndpoint(text) ? std::string() : "expected HOST:PORT, got '" + text + "'"; },
      "HOST:PORT"};
}

// A CLI11 check that names what was expected.
template <class Value>
CLI::Validator oneOf(const std::map<std::string, Value>& values, const std::string& expected) {
  return {[&values, expected](std::string& text) {
            return values.contains(text) ? std::string() : "expected " + expected + ", got '" + text + "'";
          },
          ""};
}

// A name that labels can be put in front of.
bool isDomain(const std::string& text) {
  return !text.empty() && text.front() != '.' && text.back() != '.' && text.find("..") == std::string::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
             std::string::npos;
}

constexpr std::uint64_t kOverlayBytesMin = 1024UL * 1024;

// A number and one of the units; nullopt if it is not that, or too much.
template <class Unit>
std::optional<std::uint64_t> parseWithUnit(const std::string& text, const std::map<std::string, Unit>& units) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  const auto unit = units.find(std::string(end, text.data() + text.size()));
  if (unit == units.end()) return std::nullopt;
  if (number > (std::uint64_t{1} << 52) / static_cast<std::uint64_t>(unit->second)) return std::nullopt;
  return number * static_cast<std::uint64_t>(unit->second);
}

std::optional<std::uint64_t> parseBytes(const std::string& text) {
  return parseWithUnit<std::uint64_t>(
      text, {{"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}});
}

std::optional<std::chrono::seconds> parseDuration(const std::string& text) {
  if (text == "0") return std::chrono::seconds(0);
  const auto seconds = parseWithUnit<std::uint64_t>(text, {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 24ULL * 3600}});
  return seconds ? std::optional(std::chrono::seconds(*seconds)) : std::nullopt;
}

Leave usage(const std::string& what) {
  return {.code = kExitUsage, .text = "holdfast: " + what + "\nRun `holdfast --help` for what it understands.\n"};
}

}  // namespace

bool isToken(const std::string& text) {
  // It travels in an HTTP header, and the shell reads it in what `holdfast env` prints.
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=") ==
             std::string::npos;
}

std::string Endpoint::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Endpoint> parseEndpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  Endpoint endpoint;
  endpoint.host = text.substr(0, colon);
  if (endpoint.host.empty()) endpoint.host = "0.0.0.0";
  if (endpoint.host.front() == '[') {
    if (endpoint.host.back() != ']' || endpoint.host.size() < 3) return std::nullopt;
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  } else if (endpoint.host.find(':') != std::string::npos) {
    return std::nullopt;
  }
  const std::string digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  return endpoint;
}

Command parseCommandLine(const std::vector<std::string>& arguments) {
  CLI::App app{"Holdfast: Durable Objects on your own machines.", "holdfast"};
  app.set_version_flag("--version", std::string("holdfast ") + kVersion);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  ServeOptions serve;
  serve.shards = std::max(1U, std::thread::hardware_concurrency());
  std::string listen = serve.listen.text();
  std::string api = serve.api.text();
  CLI::App* serveCommand = app.add_subcommand("serve", "Run the server.");
  const auto option = [&](const char* name, auto& target, const char* text, const char* variable) {
    return serveCommand->add_option(name, target, text)->envname(variable)->capture_default_str();
  };
  option("--dir", serve.directory, "Where everything is kept", "HOLDFAST_DIR");
  option("--listen", listen, "Address of the Workers (port 0: a free one)", "HOLDFAST_LISTEN")
      ->check(endpointValidator());
  option("--api", api, "Address of the control plane (port 0: a free one)", "HOLDFAST_API")->check(endpointValidator());
  option("--domain", serve.domain, "Workers answer at SCRIPT.DOMAIN", "HOLDFAST_DOMAIN");
  option("--shards", serve.shards, "Threads that run Workers", "HOLDFAST_SHARDS")->check(CLI::Range(1, 128));
  option("--token", serve.token, "API token (default: the one in DIR/token, made at the first start)",
         "HOLDFAST_TOKEN");
  option("--account-id", serve.accountId, "Account id that the control plane answers for", "HOLDFAST_ACCOUNT_ID");
  option("--default-script", serve.defaultScript, "Script that answers for DOMAIN itself and for bare addresses",
         "HOLDFAST_DEFAULT_SCRIPT");
  serveCommand
      ->add_flag("--websocket-compression", serve.webSocketCompression,
                 "Deflate WebSocket messages for clients that offer it (permessage-deflate)")
      ->envname("HOLDFAST_WEBSOCKET_COMPRESSION");
  std::string history = "30d";
  std::string overlay = "256MiB";
  std::string reserve = "160MiB";
  std::uint32_t recoverySeconds = 10;
  option("--history", history, "How long an object can be taken back (30d, 12h, 90m, 45s; 0: no history)",
         "HOLDFAST_HISTORY");
  option("--recovery-time", recoverySeconds, "Seconds that a start after a crash may need", "HOLDFAST_RECOVERY_TIME")
      ->check(CLI::Range(1, 3600));
  option("--disk-reserve", reserve, "Disk space kept for checkpoints when the disk is full (160MiB; 0MiB: none)",
         "HOLDFAST_DISK_RESERVE");
  option("--dirty-memory", overlay, "Memory for changes that wait for their files (256MiB, 1GiB)",
         "HOLDFAST_DIRTY_MEMORY");
  const std::map<std::string, bool> endings{{"restart", true}, {"exit", false}};
  std::string onFailure = "restart";
  option("--on-failure", onFailure, "When V8 cannot be stopped or fails: restart in place, or exit",
         "HOLDFAST_ON_FAILURE")
      ->check(oneOf(endings, "restart or exit"));
  const std::map<std::string, LogFormat> formats{{"text", LogFormat::kText}, {"json", LogFormat::kJson}};
  const std::map<std::string, LogLevel> levels{
      {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warn", LogLevel::kWarn}, {"error", LogLevel::kError}};
  std::string logFormat = "text";
  std::string logLevel = "info";
  option("--log", logFormat, "Form of log lines: text or json", "HOLDFAST_LOG")->check(oneOf(formats, "text or json"));
  option("--log-level", logLevel, "Least level that is logged: debug, info, warn or error", "HOLDFAST_LOG_LEVEL")
      ->check(oneOf(levels, "debug, info, warn or error"));

  EnvOptions env;
  CLI::App* envCommand = app.add_subcommand("env", "Print the exports that wrangler and the SDK need.");
  envCommand->add_option("--dir", env.directory, "The server's directory")
      ->envname("HOLDFAST_DIR")
      ->capture_default_str();

  // Two owners: this, and the command that is returned.
  const auto tools = std::make_shared<ToolCommands>(app);

  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success& success) {  // --help, --version: CLI11 has no other way to say so
    std::ostringstream out;
    app.exit(success, out, out);
    return Leave{.code = 0, .text = out.str()};
  } catch (const CLI::ParseError& error) {
    const bool unknownCommand =
        !arguments.empty() && !arguments.front().starts_with('-') &&
        app.get_subcommands([&](const CLI::App* command) { return command->get_name() == arguments.front(); }).empty();
    return usage(unknownCommand ? "there is no command '" + arguments.front() + "'" : error.what());
  }
  if (envCommand->parsed()) return env;
  if (RunTool run = tools->chosen()) return RunTool([tools, run = std::move(run)] { return run(); });
  const std::optional<std::chrono::seconds> retention = parseDuration(history);
  if (!retention) return usage("--history is a number with d, h, m or s behind it, or 0, got '" + history + "'");
  serve.historyRetention = *retention;
  const std::optional<std::uint64_t> overlayBytes = parseBytes(overlay);
  if (!overlayBytes || *overlayBytes < kOverlayBytesMin) {
    return usage("--dirty-memory is a number with KiB, MiB or GiB behind it, at least 1MiB, got '" + overlay + "'");
  }
  serve.overlayBytesMax = *overlayBytes;
  const std::optional<std::uint64_t> reserveBytes = parseBytes(reserve);
  if (!reserveBytes) return usage("--disk-reserve is a number with KiB, MiB or GiB behind it, got '" + reserve + "'");
  serve.reserveBytes = *reserveBytes;
  serve.recoveryTime = std::chrono::seconds(recoverySeconds);
  serve.listen = *parseEndpoint(listen);
  serve.api = *parseEndpoint(api);
  serve.restarts = endings.at(onFailure);
  serve.logFormat = formats.at(logFormat);
  serve.logLevel = levels.at(logLevel);
  if (serve.accountId.empty() ||
      serve.accountId.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
          std::string::npos) {
    return usage("--account-id is made of letters, digits, _ and -, got '" + serve.accountId + "'");
  }
  if (!isDomain(serve.domain)) return usage("--domain is a host name, got '" + serve.domain + "'");
  if (!serve.token.empty() && !isToken(serve.token)) {
    return usage("--token is made of letters, digits and -._~+/=");
  }
  return serve;
}

}  // namespace hf::server
