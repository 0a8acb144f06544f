-- What every verb does first: is this partition laid out as we expect, and no older than we have seen?
-- KEYS[1] is the layout; ARGV[1..4] are version, number of partitions, and the epoch and the lock
-- counter that the worker has seen here.

local layout = redis.call('HMGET', KEYS[1], 'version', 'partitions', 'ready', 'epoch', 'locks', 'born')

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function unwell()
  if not layout[1] then return 'no_layout' end
  if layout[1] ~= ARGV[1] then return 'other_layout_version' end
  if layout[2] ~= ARGV[2] then return 'other_number_of_partitions' end
  if layout[3] ~= '1' then return 'layout_not_ready' end
  if layout[4] == ARGV[3] and tonumber(layout[5]) < tonumber(ARGV[4]) then return 'stale' end
  return nil
end

-- Every answer begins with its status, and with what the worker is to remember of this partition.
local function answer(status, ...)
  return {status, layout[4] or '', tonumber(layout[5] or 0), ...}
end

-- Numbers the event without a gap, and writes it.
local function write_event(counter, stream, now, event)
  local number = redis.call('HINCRBY', KEYS[1], counter, 1)
  redis.call('XADD', stream, number .. '-0', 'at', string.format('%d', now), 'event', event)
end
