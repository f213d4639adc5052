// The parts of an upload's metadata that stand for themselves.
#include "api/deploy.h"
#include "base/limits.h"

namespace hf::api {

Checked<UpdateStrategy> parseUpdateStrategy(const Json& body) {
  UpdateStrategy out;
  const Json* json = memberOf(body, "code_update_strategy");
  if (json == nullptr || json->is_null()) return out;
  const std::string mode = textOf(*json, "mode");
  if (mode == "immediate") {
    out.mode = catalog::CodeUpdateMode::kImmediate;
  } else if (!mode.empty() && mode != "deferred") {
    return refuse(400, 10021, "code_update_strategy.mode must be \"deferred\" or \"immediate\".");
  }
  const Json* delay = memberOf(*json, "max_delay");
  if (delay == nullptr || delay->is_null()) return out;
  if (!delay->is_number() || delay->get<double>() < 0 || delay->get<double>() > 86'400) {
    return refuse(400, 10021, "code_update_strategy.max_delay must be a number of seconds from 0 to 86400.");
  }
  out.maxDelay = std::chrono::seconds(static_cast<std::int64_t>(delay->get<double>()));
  return out;
}

Checked<Json> parseAnnotations(const Json& body) {
  Json out = Json::object();
  const Json* json = memberOf(body, "annotations");
  if (json == nullptr || json->is_null()) return out;
  if (!json->is_object()) return refuse(400, 10021, "annotations must be an object.");
  for (const auto& [key, value] : json->items()) {
    if (value.is_null()) continue;
    if (!value.is_string()) return refuse(400, 10021, "The annotation '" + key + "' must be a text.");
    const std::size_t most = key == "workers/tag" ? 100 : 1000;
    if (value.get_ref<const std::string&>().size() > most) {
      return refuse(400, 10021, "The annotation '" + key + "' is longer than " + std::to_string(most) + " bytes.");
    }
    if (key != "workers/triggered_by") out[key] = value;
  }
  return out;
}

Checked<void> applyScriptSettings(const Json& body, catalog::ScriptRow& script) {
  if (const Json* logpush = memberOf(body, "logpush"); logpush != nullptr && !logpush->is_null()) {
    if (!logpush->is_boolean()) return refuse(400, 10021, "logpush must be true or false.");
    script.settings["logpush"] = *logpush;
  }
  if (const Json* observability = memberOf(body, "observability"); observability != nullptr) {
    if (!observability->is_object() && !observability->is_null()) {
      return refuse(400, 10021, "observability must be an object.");
    }
    script.settings["observability"] = *observability;
  }
  if (const Json* tags = memberOf(body, "tags"); tags != nullptr && !tags->is_null()) {
    if (!tags->is_array()) return refuse(400, 10021, "tags must be an array of texts.");
    for (const Json& tag : *tags) {
      if (!tag.is_string()) return refuse(400, 10021, "tags must be an array of texts.");
    }
    script.settings["tags"] = *tags;
  }
  if (const Json* consumers = memberOf(body, "tail_consumers"); consumers != nullptr) {
    const bool none = consumers->is_null() || (consumers->is_array() && consumers->empty());
    if (!none) return refuse(400, 10021, "Tail consumers are not part of this release of Holdfast.");
    script.settings["tail_consumers"] = *consumers;
  }
  if (dumpJson(script.settings).size() > limits::kScriptSettingsBytesMax) {
    return refuse(413, 10027,
                  "The settings of a Worker (observability, tags) are larger than " +
                      std::to_string(limits::kScriptSettingsBytesMax / 1024) + " KiB.");
  }
  return {};
}

Checked<void> checkVersionSize(const catalog::VersionRow& version) {
  std::size_t size = 0;
  for (const Json* part : {&version.metadata, &version.bindings, &version.annotations}) size += dumpJson(*part).size();
  if (size <= limits::kVersionTextBytesMax) return {};
  return refuse(413, 10027,
                "The bindings and metadata of a Worker are larger than " +
                    std::to_string(limits::kVersionTextBytesMax / 1024 / 1024) +
                    " MiB. Upload large texts as modules.");
}

}  // namespace hf::api
