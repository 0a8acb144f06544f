-- describe: the record of an exchange, and whether it is alive.
-- KEYS: layout, locks, record

local problem = unwell()
if problem then return answer(problem) end

local packed = redis.call('GET', KEYS[3])
if not packed then return answer('unknown') end

local record = read_record(packed)
local why = dead(record.lineage, KEYS[2], milliseconds())
return answer(why or 'ok', record.lineage.links[1][2], record.detail)
