-- wrk: HF_WHAT is the first part of the path, HF_OBJECTS how many objects take turns (0: a new one for each request),
-- HF_COUNT stops after so many answers, HF_RUN keeps the names of runs apart.
local what = os.getenv("HF_WHAT")
local objects = tonumber(os.getenv("HF_OBJECTS") or "1")
local count = tonumber(os.getenv("HF_COUNT") or "0")
local run = os.getenv("HF_RUN") or "r"
local sent, answered = 0, 0
local host = os.getenv("HF_HOST")

function init(args)
  wrk.headers["Host"] = host
end

function request()
  sent = sent + 1
  local name = objects == 0 and (run .. sent) or ("o" .. (sent % objects))
  return wrk.format("GET", "/" .. what .. "/" .. name)
end

if count > 0 then
  function response(status, headers, body)
    answered = answered + 1
    if answered >= count then wrk.thread:stop() end
  end
end

function done(summary, latency, requests)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"errors":%d,"non2xx":%d,"p50us":%d,"p99us":%d}\n', summary.requests,
    summary.duration / 1e6, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.errors.status, latency:percentile(50), latency:percentile(99)))
end
