-- Post one body over and over, each time with another number in it, and count answers that are whole: status 200 and
-- the words that only a whole one has.
-- Use: wrk ... -s asks.lua URL -- BODY_FILE WORDS      The body has ten zeros in the place of the number.

local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   answers, wrong, asked = 0, 0, 0
   words = args[2]
   wrk.method = "POST"
   wrk.headers["content-type"] = "application/json"
   local file = assert(io.open(args[1], "rb"))
   wrk.body = file:read("*a")
   file:close()
   local whole = wrk.format()
   local from, to = string.find(whole, "0000000000", 1, true)
   before, after = string.sub(whole, 1, from - 1), string.sub(whole, to + 1)
end

function request()
   asked = asked + 1
   return before .. string.format("%010d", asked) .. after
end

function response(status, headers, body)
   if status == 200 and string.find(body, words, 1, true) then
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
