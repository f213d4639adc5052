// The functions of `Native` (web/native.ts) that concern the isolate itself: log, clone, ids, messages, placement.
#include "worker/natives.h"

#include "base/check.h"
#include "base/random.h"
#include "worker/isolate.h"

namespace hf::worker {
namespace {

using v8::FunctionCallbackInfo;
using v8::Local;
using v8::Value;

LogLevel levelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

}  // namespace

struct Isolate::Natives {
  using Info = FunctionCallbackInfo<Value>;

  static Isolate& self(const Info& info) { return js::selfOf<Isolate>(info); }
  static std::string text(const Info& info, int index) { return js::toUtf8(info.GetIsolate(), info[index]); }

  static NamespaceId namespaceOf(const Info& info, int index) {
    auto ns = NamespaceId::parse(text(info, index));
    HF_CHECK(ns.has_value(), "the runtime passes namespaces as C++ gave them");
    return *ns;
  }

  static ObjectKey objectOf(const Info& info) {
    ObjectKey object{.ns = namespaceOf(info, 0), .id = {}};
    const bool valid = fromHex(text(info, 1), object.id.bytes);
    HF_CHECK(valid, "the runtime passes ids as C++ gave them");
    return object;
  }

  static void wake(const Info& info) {
    Isolate& isolate = self(info);
    isolate.awake_ = true;
    if (!isolate.inside_) isolate.schedulePump();
  }

  static void cutTurn(const Info& info) { info.GetReturnValue().Set(self(info).environment_->cutTurn()); }

  // --- log

  static void log(const Info& info) {
    const Isolate& isolate = self(info);
    const LogLevel level = levelOf(text(info, 0));
    const Log& log = isolate.shard_.dependencies().log;
    if (!log.wants(level)) return;
    const std::string where = text(info, 2);
    if (where.empty()) {
      log.write(level, text(info, 1), {{"script", isolate.version_->scriptName}});
    } else {
      log.write(level, text(info, 1), {{"script", isolate.version_->scriptName}, {"object", where}});
    }
  }

  static void logException(const Info& info) {
    const Isolate& isolate = self(info);
    isolate.shard_.dependencies().log.error("uncaught exception", {{"script", isolate.version_->scriptName},
                                                                   {"version", isolate.version_->id},
                                                                   {"event", text(info, 0)},
                                                                   {"exception", text(info, 1) + ": " + text(info, 2)},
                                                                   {"stack", text(info, 3)},
                                                                   {"object", text(info, 4)}});
  }

  // --- structured clone

  static js::CloneMode modeOf(const Info& info, int index) {
    constexpr js::CloneMode kModes[] = {js::CloneMode::kStorage, js::CloneMode::kRpc, js::CloneMode::kPlain};
    return kModes[info[index].As<v8::Int32>()->Value()];
  }

  static void serialize(const Info& info) {
    v8::Isolate* isolate = info.GetIsolate();
    const auto bytes = self(info).serializer_->serialize(isolate->GetCurrentContext(), info[0], modeOf(info, 1));
    Local<v8::ArrayBuffer> buffer;
    if (bytes && js::arrayBuffer(isolate, *bytes).ToLocal(&buffer)) info.GetReturnValue().Set(buffer);
  }

  static void deserialize(const Info& info) {
    const BytesView bytes = js::bytesOf(info[0]).value_or(BytesView{});
    Local<Value> value;
    if (self(info).serializer_->deserialize(info.GetIsolate()->GetCurrentContext(), bytes).ToLocal(&value)) {
      info.GetReturnValue().Set(value);
    }
  }

  static void clone(const Info& info) {
    const Local<v8::Context> context = info.GetIsolate()->GetCurrentContext();
    Local<Value> value;
    if (!self(info).serializer_->clone(context, info[0], modeOf(info, 1)).ToLocal(&value)) return;
    if (info[2]->IsFunction() && value->IsObject() &&
        value.As<v8::Object>()
            ->DefineOwnProperty(context, info[3].As<v8::Symbol>(), info[2], v8::DontEnum)
            .IsNothing()) {
      return;
    }
    info.GetReturnValue().Set(value);
  }

  static void moduleValue(const Info& info) {
    Local<Value> value;
    if (self(info).modules_->value(info.GetIsolate()->GetCurrentContext(), text(info, 0)).ToLocal(&value)) {
      info.GetReturnValue().Set(value);
    }
  }

  // --- ids

  static const NamespaceIds& idsOf(const Info& info) {
    Isolate& isolate = self(info);
    const std::string ns = text(info, 0);
    return isolate.ids_.try_emplace(ns, ns).first->second;
  }

  // An index of kJurisdictionNames.
  static Jurisdiction jurisdictionOf(const Info& info, int index) {
    const int value = info[index].As<v8::Int32>()->Value();
    HF_CHECK(value >= 0 && static_cast<std::size_t>(value) < kJurisdictionNames.size(), "ids.ts knows the same names");
    return static_cast<Jurisdiction>(value);
  }

  static void idFromName(const Info& info) {
    const IdFactory& ids = idsOf(info).of(jurisdictionOf(info, 2));
    info.GetReturnValue().Set(js::string(info.GetIsolate(), ids.fromName(text(info, 1)).hex()));
  }

  static void idRandom(const Info& info) {
    std::array<std::uint8_t, 16> random{};
    systemRandom().fill(random);
    const IdFactory& ids = idsOf(info).of(jurisdictionOf(info, 1));
    info.GetReturnValue().Set(js::string(info.GetIsolate(), ids.fromRandom(random).hex()));
  }

  static void idJurisdiction(const Info& info) {
    const auto parsed = idsOf(info).parse(text(info, 1));
    if (!parsed) return js::throwResultError(info.GetIsolate(), parsed.error());
    info.GetReturnValue().Set(static_cast<int>(parsed->jurisdiction));
  }

  // --- messages

  static void send(const Info& info) {
    Isolate& isolate = self(info);
    const auto bytes =
        isolate.serializer_->serialize(info.GetIsolate()->GetCurrentContext(), info[1], js::CloneMode::kMessage);
    if (!bytes) return;
    const bool isLimited = info[2]->IsTrue();
    if (isLimited && bytes->size() > js::kRpcBytesMax) {
      return js::throwRangeError(info.GetIsolate(), "The message is too large.");
    }
    isolate.shard_.send(static_cast<IsolateAddress>(info[0].As<v8::Number>()->Value()),
                        Message{.from = isolate.address_, .bytes = Bytes(bytes->begin(), bytes->end())});
  }

  static void sendToActor(const Info& info) {
    Isolate& isolate = self(info);
    const ObjectKey object = objectOf(info);
    if (!isolate.shard_.snapshot().namespaces.contains(object.ns)) {
      return js::throwResultError(info.GetIsolate(), {Errc::kNotFound, "Worker not found."});
    }
    const auto bytes =
        isolate.serializer_->serialize(info.GetIsolate()->GetCurrentContext(), info[3], js::CloneMode::kMessage);
    if (!bytes) return;
    isolate.shard_.sendToActor(object, info[2]->IsString() ? text(info, 2) : std::string(),
                               Message{.from = isolate.address_, .bytes = Bytes(bytes->begin(), bytes->end())});
  }

  static void scriptAddress(const Info& info) {
    Isolate& isolate = self(info);
    auto target = isolate.shard_.isolateFor(text(info, 0), isolate.shard_.random());
    if (!target) {
      if (target.error().code != Errc::kNotFound) {
        isolate.shard_.dependencies().log.error("script did not start",
                                                {{"script", text(info, 0)}, {"error", target.error().message}});
      }
      info.GetReturnValue().Set(0);
      return;
    }
    info.GetReturnValue().Set(static_cast<double>((*target)->address()));
  }

  // --- placement

  static void claimActor(const Info& info) {
    Isolate& isolate = self(info);
    const ObjectKey object = objectOf(info);
    const bool claimed = isolate.shard_.claim(object, isolate);
    info.GetReturnValue().Set(claimed);
    if (!claimed) return;
    const std::optional<Handover> handover = isolate.shard_.takeHandover(object);
    if (!handover) return;
    Local<Value> state;
    if (isolate.serializer_->deserialize(info.GetIsolate()->GetCurrentContext(), handover->state).ToLocal(&state)) {
      info.GetReturnValue().Set(state);
    } else {
      isolate.shard_.cut(*handover);
    }
  }

  static void handOver(const Info& info) {
    Isolate& isolate = self(info);
    const Local<v8::Context> context = info.GetIsolate()->GetCurrentContext();
    const auto state = isolate.serializer_->serialize(context, info[4], js::CloneMode::kRpc);
    HF_CHECK(state.has_value(), "a handover is plain data");
    Handover handover{.name = info[2]->IsString() ? text(info, 2) : std::string(),
                      .ends = {},
                      .state = Bytes(state->begin(), state->end())};
    const auto ends = info[3].As<v8::Array>();
    for (std::uint32_t i = 0; i < ends->Length(); i++) {
      const Local<Value> end = ends->Get(context, i).ToLocalChecked();
      handover.ends.push_back(static_cast<web::PipeEnd>(end.As<v8::Number>()->Value()));
      isolate.pipes_.letGo(handover.ends.back());
    }
    isolate.shard_.handOver(objectOf(info), isolate.address_, std::move(handover));
  }

  static void releaseActor(const Info& info) {
    Isolate& isolate = self(info);
    isolate.shard_.actors().release(objectOf(info), isolate.address_);
  }

  static void alarmDone(const Info& info) {
    const std::string outcome = text(info, 2);
    auto value = actor::AlarmOutcome::kOk;
    if (outcome == "cancelled") value = actor::AlarmOutcome::kCancelled;
    if (outcome == "retry") value = actor::AlarmOutcome::kRetry;
    if (outcome == "retry-uncounted") value = actor::AlarmOutcome::kRetryUncounted;
    if (outcome == "abandon") value = actor::AlarmOutcome::kAbandon;
    self(info).shard_.alarmDone(objectOf(info), value);
  }
};

void Isolate::installNatives(v8::Local<v8::Context> context, v8::Local<v8::Object> native) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("wake", Natives::wake);
  add("cutTurn", Natives::cutTurn);
  add("log", Natives::log);
  add("logException", Natives::logException);
  add("serialize", Natives::serialize);
  add("deserialize", Natives::deserialize);
  add("clone", Natives::clone);
  add("moduleValue", Natives::moduleValue);
  add("idFromName", Natives::idFromName);
  add("idRandom", Natives::idRandom);
  add("idJurisdiction", Natives::idJurisdiction);
  add("send", Natives::send);
  add("sendToActor", Natives::sendToActor);
  add("scriptAddress", Natives::scriptAddress);
  add("claimActor", Natives::claimActor);
  add("releaseActor", Natives::releaseActor);
  add("handOver", Natives::handOver);
  add("alarmDone", Natives::alarmDone);
  databases_.install(context, native, *serializer_);
  pipes_.install(context, native);
  http_.install(context, native);
}

}  // namespace hf::worker
