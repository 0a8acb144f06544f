-- lock: put a stop on a target. A lock that is there already stays as it is: a repetition completes.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, target, ends at or empty, parents, since login, description, event or empty,
--              whether it stands in every partition, then for how long ends are kept

local problem = unwell()
if problem then return answer(problem) end

local id, target, now, keep = ARGV[5], ARGV[6], milliseconds(), kept(13)

-- Another lock of the same id must not pass for this one, and one that was lifted not for one that stands.
local known = redis.call('HGET', KEYS[3], id)
if known then
  known = cmsgpack.unpack(known)
  if known.x then return answer('lock_lifted') end
  return answer(known.t == target and 'ok' or 'lock_id_taken')
end

local packed = redis.call('HGET', KEYS[2], target)
local entry = packed and cmsgpack.unpack(packed) or {}
local lock = {b = now, e = tonumber(ARGV[7]), p = ARGV[8] == '1', l = ARGV[9] == '1'}
local booked = {t = target, b = now, e = lock.e, l = lock.l, d = ARGV[10], f = ARGV[12] == '1'}
local stale, gone = stale_targets(KEYS[2], target, now, keep), stale_locks(KEYS[3], id, now, keep)
enter(entry, id, lock, now)

if ARGV[11] ~= '' then write_event('events', KEYS[4], now, ARGV[11]) end
redis.call('HSET', KEYS[2], target, cmsgpack.pack(entry))
redis.call('HSET', KEYS[3], id, cmsgpack.pack(booked))
redis.call('HSET', KEYS[1], 'clock', string.format('%d', now))
forget(KEYS[2], stale)
forget(KEYS[3], gone)
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
return answer('ok')
