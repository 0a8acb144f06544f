-- lock: put a stop on a target. A lock that is there already stays as it is: a repetition completes.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, target, ends at or empty, parents, since login, description, event or empty

local problem = unwell()
if problem then return answer(problem) end

local now = milliseconds()
if redis.call('HSETNX', KEYS[3], ARGV[5], ARGV[10]) == 0 then return answer('ok') end

local packed = redis.call('HGET', KEYS[2], ARGV[6])
local entry = packed and cmsgpack.unpack(packed) or {}
local lock = {b = now, e = tonumber(ARGV[7]), p = ARGV[8] == '1', l = ARGV[9] == '1'}
enter(entry, ARGV[5], lock, now)
redis.call('HSET', KEYS[2], ARGV[6], cmsgpack.pack(entry))
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
if ARGV[11] ~= '' then write_event('events', KEYS[4], now, ARGV[11]) end
return answer('ok')
