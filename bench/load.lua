-- wrk: HF_WHAT is the first part of the path, HF_OBJECTS how many objects take turns (0: a new one for each request),
-- HF_COUNT stops after so many answers, HF_RUN keeps the names of runs apart.
-- wrk itself sleeps until the end of its -d, so a run of HF_COUNT answers takes its own time and leaves.
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
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long s; long ns; } hf_time; int clock_gettime(int clock, hf_time* time);")
  local function now()
    local time = ffi.new("hf_time")
    ffi.C.clock_gettime(1, time) -- CLOCK_MONOTONIC
    return tonumber(time.s) + tonumber(time.ns) / 1e9
  end
  local begin
  local failed = 0
  local format = request
  function request()
    begin = begin or now()
    return format()
  end
  function response(status)
    answered = answered + 1
    if status ~= 200 then failed = failed + 1 end
    if answered == count then
      io.write(string.format('RESULT {"requests":%d,"seconds":%f,"errors":0,"non2xx":%d}\n', answered, now() - begin, failed))
      os.exit(0)
    end
  end
end

function done(summary, latency, requests)
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"errors":%d,"non2xx":%d,"p50us":%d,"p99us":%d}\n', summary.requests,
    summary.duration / 1e6, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.errors.status, latency:percentile(50), latency:percentile(99)))
end
