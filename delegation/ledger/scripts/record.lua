-- record: one exchange, unless its lineage forbids it, listed and with its event: all or nothing.
-- KEYS: layout, locks, record, live exchanges, events, one-time use, parent's record or none
-- ARGV from 5: id, decided at, expires at, targets, detail, event, single use, undrained limit,
--              then the foreign token's targets, issued at, logged in at; empty where the parent is ours,
--              when its use is forgotten; the actor token's targets, issued at and logged in at,
--              empty without one; the root identity; the foreign token as events name it, empty where
--              the parent is ours; and the parent's id, empty where it is not

local problem = unwell()
if problem then return answer(problem) end

local id, single_use, now = ARGV[5], ARGV[11] == '1', milliseconds()

local actor = nil
if ARGV[17] ~= '' then
  actor = {t = ARGV[17], a = tonumber(ARGV[18]), f = true, l = tonumber(ARGV[19])}
end

-- Why it may not be, or nil: first by what the subject token came from, then by the actor token.
local function stopped(lineage)
  local why = dead(lineage, KEYS[2], now)
  if why or not actor then return why end
  why = dead({actor}, KEYS[2], now)
  return why == 'lineage_dead' and 'actor_dead' or why
end

-- Sent again because the reply was lost: the same answer, if it is still alive.
local known = redis.call('GET', KEYS[3])
if known then
  local lineage = cmsgpack.unpack(known).lineage
  if actor then table.remove(lineage) end
  return answer(stopped(lineage) or 'ok')
end

if redis.call('XLEN', KEYS[5]) >= tonumber(ARGV[12]) then return answer('too_many_undrained_events') end
if clocks_differ(now, ARGV[6]) then return answer('clocks_differ') end

local lineage, before, foreign = {{t = ARGV[8], a = now}}, '', ARGV[21]
if KEYS[7] then
  local packed = redis.call('GET', KEYS[7])
  if not packed then return answer('lineage_dead') end
  local parent = cmsgpack.unpack(packed)
  for _, link in ipairs(parent.lineage) do lineage[#lineage + 1] = link end
  before = '"' .. ARGV[22] .. '"' .. (parent.before == '' and '' or ',' .. parent.before)
  foreign = parent.foreign
else
  lineage[2] = {t = ARGV[13], a = tonumber(ARGV[14]), f = true, l = tonumber(ARGV[15])}
end

local why = stopped(lineage)
if why then return answer(why) end
lineage[#lineage + 1] = actor  -- the last, if there is one

if single_use then
  -- What was used before this store began is not known: it counts as used.
  local used = redis.call('EXISTS', KEYS[6]) == 1 or lineage[2].a < tonumber(layout[6])
  if used then return answer('already_used') end
end

-- The event is written first: whatever fails from here on, there is no record without its event.
write_event('events', KEYS[5], now, with_lineage(ARGV[10], before, foreign))
if single_use then redis.call('SET', KEYS[6], id, 'PXAT', ARGV[16]) end
local record = {lineage = lineage, detail = ARGV[9], before = before, foreign = foreign}
redis.call('SET', KEYS[3], cmsgpack.pack(record), 'PXAT', ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
redis.call('ZADD', KEYS[4], ARGV[7], ARGV[20] .. id)
redis.call('PEXPIREAT', KEYS[4], string.format('%d', now + 1000000))  -- longer than any token lives
return answer('ok')
