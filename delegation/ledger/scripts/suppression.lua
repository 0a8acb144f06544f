-- How many refusals of one client are written in a minute; the rest is counted, and the count written.
-- The hash of caps holds for each client `window:written:suppressed`.

local WINDOW = 60000

local function read_cap(caps, client)
  local value = redis.call('HGET', caps, client)
  if not value then return nil end
  local window, written, suppressed = string.match(value, '^(%d+):(%d+):(%d+)$')
  return {window = tonumber(window), written = tonumber(written), suppressed = tonumber(suppressed)}
end

local function write_cap(caps, client, cap)
  local value = string.format('%d:%d:%d', cap.window, cap.written, cap.suppressed)
  redis.call('HSET', caps, client, value)
end

-- The event of a window that is over; nothing where nothing was suppressed.
local function settle(refusals, client, cap, now)
  if cap.suppressed == 0 then return end
  write_event('refusals', refusals, now, cjson.encode({
    type = 'refusals_suppressed', client = client, count = cap.suppressed,
    since = cap.window * WINDOW, version = 1,
  }))
end
