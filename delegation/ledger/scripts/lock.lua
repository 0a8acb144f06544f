-- lock: put a stop on a target. A lock that is there already stays as it is: a repetition completes.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, target, ends at or empty, parents, since login, description, event or empty

local problem = unwell()
if problem then return answer(problem) end

local id, target, now = ARGV[5], ARGV[6], milliseconds()

-- The book has the target before the words: another lock of the same id must not pass for this one.
local known = redis.call('HGET', KEYS[3], id)
if known then
  return answer(string.sub(known, 1, TARGET) == target and 'ok' or 'lock_id_taken')
end

local packed = redis.call('HGET', KEYS[2], target)
local entry = packed and cmsgpack.unpack(packed) or {}
local lock = {b = now, e = tonumber(ARGV[7]), p = ARGV[8] == '1', l = ARGV[9] == '1'}
enter(entry, id, lock, now)

if ARGV[11] ~= '' then write_event('events', KEYS[4], now, ARGV[11]) end
redis.call('HSET', KEYS[2], target, cmsgpack.pack(entry))
redis.call('HSET', KEYS[3], id, target .. ARGV[10])
redis.call('HSET', KEYS[1], 'clock', string.format('%d', now))
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
return answer('ok')
