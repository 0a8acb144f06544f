-- lift: end a standing lock, or annul one that was a mistake. Lifted already is lifted.
-- KEYS: layout, locks, book, events
-- ARGV from 5: id, whether it was a mistake, event or empty, then for how long ends are kept

local problem = unwell()
if problem then return answer(problem) end

local id, mistaken, now, keep = ARGV[5], ARGV[6] == '1', milliseconds(), kept(8)
local packed = redis.call('HGET', KEYS[3], id)
local lock = packed and cmsgpack.unpack(packed)
if lock and lock.x then return answer('ok') end
if lock and lock.e and lock.e <= now then return answer('lock_ended') end
if not lock and ARGV[7] ~= '' then return answer('unknown_lock') end

-- Where it never arrived, it must not arrive any more.
local entry = nil
lock = lock or {t = '', b = now, d = '', f = true}
lock.e, lock.x = now, mistaken and 'annulled' or 'lifted'
packed = redis.call('HGET', KEYS[2], lock.t)
if packed then
  entry = cmsgpack.unpack(packed)
  settle_entry(entry, now)
  local standing = entry.standing[id]
  entry.standing[id] = nil
  if standing and not mistaken then fold(entry, standing, now) end
end
local stale, gone = stale_targets(KEYS[2], lock.t, now, keep), stale_locks(KEYS[3], id, now, keep)

if ARGV[7] ~= '' then write_event('events', KEYS[4], now, ARGV[7]) end
if entry then redis.call('HSET', KEYS[2], lock.t, cmsgpack.pack(entry)) end
redis.call('HSET', KEYS[3], id, cmsgpack.pack(lock))
redis.call('HSET', KEYS[1], 'clock', string.format('%d', now))
forget(KEYS[2], stale)
forget(KEYS[3], gone)
layout[5] = redis.call('HINCRBY', KEYS[1], 'locks', 1)
return answer('ok')
