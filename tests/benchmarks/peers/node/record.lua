-- What peers write for each exchange, as ours does: locks are looked at, the record is kept with its
-- expiry and listed, and an event with a number of its own is appended; all or nothing.
-- KEYS: locks, record, live exchanges, events
-- ARGV: record, event, expires at (ms), id, then the targets that a lock could be on

local stopped = redis.call('HMGET', KEYS[1], unpack(ARGV, 5))
for _, lock in ipairs(stopped) do
  if lock then return 'locked' end
end
if redis.call('XLEN', KEYS[4]) >= 10000000 then return 'too_many_undrained_events' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('XADD', KEYS[4], '*', 'at', now, 'event', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'PXAT', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4])
return 'ok'
