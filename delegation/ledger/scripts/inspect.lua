-- inspect: all that is known of an exchange, for an administrator.
-- KEYS: layout, locks, record
-- Answers whether it is alive, when it was recorded, when it expires, its detail, its own targets, and
-- those of all that it grew from.

local problem = unwell()
if problem then return answer(problem) end

local packed = redis.call('GET', KEYS[3])
if not packed then return answer('unknown') end

local record = read_record(packed)

local function targets_of(link)
  local found = {}
  for position, place in ipairs({string.byte(link[1], 1, -1)}) do
    found[position] = record.lineage.targets[place]
  end
  return table.concat(found)
end

local own, before = record.lineage.links[1], {}
for position = 2, #record.lineage.links do
  before[#before + 1] = targets_of(record.lineage.links[position])
end
return answer(dead(record.lineage, KEYS[2], milliseconds()) or 'ok', string.format('%d', own[2]),
  redis.call('PEXPIRETIME', KEYS[3]), record.detail, targets_of(own), table.concat(before))
