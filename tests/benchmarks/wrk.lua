-- What wrk sends: each line of a file once, with the headers of another; it says what came back.

local threads = {}
function setup(thread) table.insert(threads, thread) end

local requests, number = {}, 0
refused, ran_out = 0, false

function init(arguments)
  local headers = {}
  for line in io.lines(arguments[2]) do
    local name, value = line:match('^(.-): (.*)$')
    headers[name] = value
  end
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format('POST', nil, headers, body)
  end
end

function request()
  number = number + 1
  if number > #requests then number, ran_out = 1, true end
  return requests[number]
end

function response(status)
  if status ~= 200 then refused = refused + 1 end
end

function done(summary, latency)
  local thread = threads[1]
  local line = '{"sent": %d, "granted": %d, "ran_out": %s, "seconds": %f, "p50": %f, "p95": %f, "p99": %f}'
  local ms = function(part) return latency:percentile(part) / 1000 end
  local granted = summary.requests - thread:get('refused') - summary.errors.read - summary.errors.timeout
  io.write('\n', line:format(summary.requests, granted, tostring(thread:get('ran_out')),
    summary.duration / 1e6, ms(50), ms(95), ms(99)), '\n')
end
