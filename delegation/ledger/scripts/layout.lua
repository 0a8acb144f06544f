-- What every verb does first: is this partition laid out as we expect, and no older than we have seen?
-- KEYS[1] is the layout; ARGV[1..4] are version, number of partitions, and the epoch and the lock
-- counter that the worker has seen here.

local layout =
  redis.call('HMGET', KEYS[1], 'version', 'partitions', 'ready', 'epoch', 'locks', 'born', 'clock')

-- How far a worker's clock may be from ours.
local TOLERANCE = 2000

-- Never before the latest lock: were the clock set back, or another server's slower one to take over,
-- a lock would else not have begun yet, and would stop nothing.
local function milliseconds()
  local time = redis.call('TIME')
  return math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(layout[7] or 0))
end

local function unwell()
  if not layout[1] then return 'no_layout' end
  if layout[1] ~= ARGV[1] then return 'other_layout_version' end
  if layout[2] ~= ARGV[2] then return 'other_number_of_partitions' end
  if layout[3] ~= '1' then return 'layout_not_ready' end
  if layout[4] == ARGV[3] and tonumber(layout[5]) < tonumber(ARGV[4]) then return 'stale' end
  return nil
end

local function clocks_differ(now, worker)
  return math.abs(now - tonumber(worker)) > TOLERANCE
end

-- Every answer begins with its status, and with what the worker is to remember of this partition.
local function answer(status, ...)
  return {status, layout[4] or '', tonumber(layout[5] or 0), ...}
end

-- Numbers the event without a gap, and writes it. A stream that cannot take it is not counted on.
local function write_event(counter, stream, now, event)
  local number = tonumber(redis.call('HGET', KEYS[1], counter) or 0) + 1
  redis.call('XADD', stream, string.format('%d-0', number),
    'at', string.format('%d', now), 'epoch', layout[4], 'event', event)
  redis.call('HSET', KEYS[1], counter, string.format('%d', number))
end
