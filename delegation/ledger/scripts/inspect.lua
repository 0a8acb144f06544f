-- inspect: all that is known of an exchange, for an administrator.
-- KEYS: layout, locks, record
-- Answers whether it is alive, when it was recorded, when it expires, its detail, its own targets, and
-- those of all that it grew from.

local problem = unwell()
if problem then return answer(problem) end

local packed = redis.call('GET', KEYS[3])
if not packed then return answer('unknown') end

local record = cmsgpack.unpack(packed)
local before = {}
for position = 2, #record.lineage do before[#before + 1] = record.lineage[position].t end
return answer(dead(record.lineage, KEYS[2], milliseconds()) or 'ok',
  string.format('%d', record.lineage[1].a), redis.call('PEXPIRETIME', KEYS[3]), record.detail,
  record.lineage[1].t, table.concat(before))
