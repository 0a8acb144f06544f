-- record: one exchange, unless its lineage forbids it, listed and with its event: all or nothing.
-- KEYS: layout, locks, record, live exchanges, events, one-time use, parent's record or none
-- ARGV from 5: id, decided at, expires at, targets, detail, event, single use, undrained limit,
--              then the foreign token's targets, issued at, logged in at; empty where the parent is ours,
--              when its use is forgotten; the actor token's targets, issued at and logged in at,
--              empty without one; the entry among the live exchanges; the foreign token as lineages name
--              it, empty where the parent is ours; and the parent's id, empty where it is not

local problem = unwell()
if problem then return answer(problem) end

local id, single_use, now = ARGV[5], ARGV[11] == '1', milliseconds()

local function actor_in(lineage)
  return link_in(lineage, ARGV[17], tonumber(ARGV[18]), tonumber(ARGV[19]))
end

local has_actor, actor = ARGV[17] ~= '', lineage_of('', {})
if has_actor then actor.links[1] = actor_in(actor) end

-- Why it may not be, or nil: first by what the subject token came from, then by the actor token.
local function stopped(lineage)
  local why = dead(lineage, KEYS[2], now)
  if why or not has_actor then return why end
  why = dead(actor, KEYS[2], now)
  return why == 'lineage_dead' and 'actor_dead' or why
end

-- Sent again because the reply was lost: the same answer, if it is still alive.
local known = redis.call('GET', KEYS[3])
if known then
  local lineage = read_record(known).lineage
  if has_actor then table.remove(lineage.links) end
  return answer(stopped(lineage) or 'ok')
end

if redis.call('XLEN', KEYS[5]) >= tonumber(ARGV[12]) then return answer('too_many_undrained_events') end
if clocks_differ(now, ARGV[6]) then return answer('clocks_differ') end

local lineage, before, foreign = lineage_of('', {}), '', ARGV[21]
if KEYS[7] then
  local packed = redis.call('GET', KEYS[7])
  if not packed then return answer('lineage_dead') end
  local parent = read_record(packed)
  lineage, foreign = parent.lineage, parent.foreign
  before = '"' .. ARGV[22] .. '"' .. (parent.before == '' and '' or ',' .. parent.before)
else
  lineage.links[1] = link_in(lineage, ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15]))
end
table.insert(lineage.links, 1, link_in(lineage, ARGV[8], now))

local why = stopped(lineage)
if why then return answer(why) end
if has_actor then table.insert(lineage.links, actor_in(lineage)) end  -- the last, if there is one

if single_use then
  -- What was used before this store began is not known: it counts as used.
  local used = redis.call('EXISTS', KEYS[6]) == 1 or lineage.links[2][2] < tonumber(layout[6])
  if used then return answer('already_used') end
end

-- The event is written first: whatever fails from here on, there is no record without its event.
write_event('events', KEYS[5], now, with_lineage(ARGV[10], before, foreign))
if single_use then redis.call('SET', KEYS[6], id, 'PXAT', ARGV[16]) end
redis.call('SET', KEYS[3], pack_record(lineage, ARGV[9], before, foreign), 'PXAT', ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
redis.call('ZADD', KEYS[4], ARGV[7], ARGV[20])
redis.call('PEXPIREAT', KEYS[4], string.format('%d', now + 1000000))  -- longer than any token lives
return answer('ok')
