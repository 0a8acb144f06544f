-- record: one exchange, unless its lineage forbids it, with its index and its event: all or nothing.
-- KEYS: layout, locks, record, index of the root identity, events, one-time use, parent's record or none
-- ARGV from 5: id, decided at, expires at, targets, detail, event, single use, undrained limit,
--              then the foreign token's targets, issued at, logged in at; empty where the parent is ours,
--              when its use is forgotten; and the actor token's targets and issued at, empty without one

local problem = unwell()
if problem then return answer(problem) end

local id, single_use, now = ARGV[5], ARGV[11] == '1', milliseconds()

-- Sent again because the reply was lost: the same answer, if it is still alive.
local known = redis.call('GET', KEYS[3])
if known then
  return answer(dead(cmsgpack.unpack(known).lineage, KEYS[2], now) or 'ok')
end

if redis.call('XLEN', KEYS[5]) >= tonumber(ARGV[12]) then return answer('too_many_undrained_events') end
if clocks_differ(now, ARGV[6]) then return answer('clocks_differ') end

local lineage = {{t = ARGV[8], a = now}}
if KEYS[7] then
  local parent = redis.call('GET', KEYS[7])
  if not parent then return answer('lineage_dead') end
  for _, link in ipairs(cmsgpack.unpack(parent).lineage) do lineage[#lineage + 1] = link end
else
  lineage[2] = {t = ARGV[13], a = tonumber(ARGV[14]), f = true, l = tonumber(ARGV[15])}
end

local why = dead(lineage, KEYS[2], now)
if why then return answer(why) end

if ARGV[17] ~= '' then
  local actor = {t = ARGV[17], a = tonumber(ARGV[18]), f = true, l = 0}
  why = dead({actor}, KEYS[2], now)
  if why then return answer(why == 'locked' and why or 'actor_dead') end
  lineage[#lineage + 1] = actor
end

if single_use then
  -- What was used before this store began is not known: it counts as used.
  local used = redis.call('EXISTS', KEYS[6]) == 1 or lineage[2].a < tonumber(layout[6])
  if used then return answer('already_used') end
end

-- The event is written first: whatever fails from here on, there is no record without its event.
write_event('events', KEYS[5], now, ARGV[10])
if single_use then redis.call('SET', KEYS[6], id, 'PXAT', ARGV[16]) end
redis.call('SET', KEYS[3], cmsgpack.pack({lineage = lineage, detail = ARGV[9]}), 'PXAT', ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
redis.call('ZADD', KEYS[4], ARGV[7], id)
redis.call('PEXPIREAT', KEYS[4], string.format('%d', now + 1000000))  -- longer than any token lives
return answer('ok')
