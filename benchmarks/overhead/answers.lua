-- Post one body over and over, and count answers one by one: wrk says how many it had, not how many were good.
-- Use: wrk ... -s answers.lua URL -- BODY_FILE

local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   answers, wrong = 0, 0
   wrk.method = "POST"
   wrk.headers["content-type"] = "application/json"
   local file = assert(io.open(args[1], "rb"))
   wrk.body = file:read("*a")
   file:close()
   posted = wrk.format()
end

function request()
   return posted
end

function response(status)
   if status == 200 then
      answers = answers + 1
   else
      wrong = wrong + 1
   end
end

function done(summary, latency)
   local good, bad = 0, 0
   for _, thread in ipairs(threads) do
      good = good + thread:get("answers")
      bad = bad + thread:get("wrong")
   end
   local errors = summary.errors
   io.write(string.format(
      'counted {"answers": %d, "wrong": %d, "broken": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d}\n',
      good, bad, errors.connect + errors.read + errors.write + errors.timeout,
      summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end
