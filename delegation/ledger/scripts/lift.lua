-- lift: end a standing lock, or annul one that was a mistake. Lifted already is lifted.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, target, whether it was a mistake, parents, since login, event (empty but in the
--              partition that tells of it), then for how long ends are kept

local problem = unwell()
if problem then return answer(problem) end

local id, target, mistaken, now, keep = ARGV[5], ARGV[6], ARGV[7] == '1', milliseconds(), kept(11)
local packed = redis.call('HGET', KEYS[3], id)
local lock = packed and cmsgpack.unpack(packed)
if lock and is_forgotten(lock, now, keep) then lock = nil end
if lock and lock.x then return answer('ok') end
if lock and lock.e and lock.e <= now then return answer('lock_ended') end
if not lock and ARGV[10] ~= '' then return answer('unknown_lock') end

-- Where it never arrived it must not arrive any more, and what it was to stop stays dead all the same.
lock = lock or {t = target, b = now, p = ARGV[8] == '1', l = ARGV[9] == '1', d = ''}
lock.e, lock.x = now, mistaken and 'annulled' or 'lifted'
local entry = read_entry(KEYS[2], target)
settle_entry(entry, now)
entry.standing[id] = nil
if not mistaken then fold(entry, lock, now) end
local stale, gone = stale_targets(KEYS[2], target, now, keep), stale_locks(KEYS[3], id, now, keep)

if ARGV[10] ~= '' then write_event('events', KEYS[4], now, ARGV[10]) end
redis.call('HSET', KEYS[2], target, cmsgpack.pack(entry))
redis.call('HSET', KEYS[3], id, cmsgpack.pack(lock))
redis.call('HSET', KEYS[1], 'clock', string.format('%d', now))
forget(KEYS[2], stale)
forget(KEYS[3], gone)
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
return answer('ok')
