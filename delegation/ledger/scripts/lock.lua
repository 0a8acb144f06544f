-- lock: put a stop on a target. A lock that is there already stays as it is: a repetition completes.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, target, ends at or empty, parents, since login, description and event (both empty
--              but in the partition that tells of it), then for how long ends are kept

-- What is being restored takes locks above all.
local problem = unwell()
if problem and problem ~= 'layout_not_ready' then return answer(problem) end

local id, target, now, keep = ARGV[5], ARGV[6], milliseconds(), kept(12)
local lock = {b = now, e = tonumber(ARGV[7]), p = ARGV[8] == '1', l = ARGV[9] == '1'}

-- Another lock of the same id must not pass for this one, and one that was lifted not for one that
-- stands. When it ends may differ: a time to live is counted anew in each attempt.
local packed = redis.call('HGET', KEYS[3], id)
local known = packed and cmsgpack.unpack(packed)
if known and is_forgotten(known, now, keep) then known = nil end
-- Where the lock that tells of it stands anew, it does so here: an old end is none of its.
local ended = known and not known.x and known.e and known.e <= now
if ARGV[11] == '' and ended and not (lock.e and lock.e <= now) then known = nil end
if known then
  if known.t ~= target or known.p ~= lock.p or known.l ~= lock.l then return answer('lock_id_taken') end
  if known.x then return answer('lock_lifted') end
  if not known.e ~= not lock.e then return answer('lock_id_taken') end
  return answer('ok')
end

-- A cut-off of this moment is one by our clock, not the worker's: what was recorded just now is meant.
if lock.e and now - lock.e <= TOLERANCE then lock.e = math.max(lock.e, now) end

local entry = read_entry(KEYS[2], target)
enter(entry, id, lock, now)
local booked = {t = target, b = now, e = lock.e, p = lock.p, l = lock.l, d = ARGV[10]}
local stale, gone = stale_targets(KEYS[2], target, now, keep), stale_locks(KEYS[3], id, now, keep)

if ARGV[11] ~= '' then write_event('events', KEYS[4], now, ARGV[11]) end
redis.call('HSET', KEYS[2], target, cmsgpack.pack(entry))
redis.call('HSET', KEYS[3], id, cmsgpack.pack(booked))
redis.call('HSET', KEYS[1], 'clock', string.format('%d', now))
forget(KEYS[2], stale)
forget(KEYS[3], gone)
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
return answer('ok')
