-- trim: drop the events up to one, once they are safe elsewhere, if that one still is what it was.
-- KEYS: layout, stream; ARGV from 5: number of the last event to drop, when it was recorded, its epoch
--
-- A store that went back to an earlier state gives its numbers to other events, which nobody has yet.

local problem = unwell()
if problem then return answer(problem) end

local id = ARGV[5] .. '-0'
local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
if not entry then return answer('ok') end

local fields = {}
for position = 1, #entry[2], 2 do fields[entry[2][position]] = entry[2][position + 1] end
if fields.at == ARGV[6] and fields.epoch == ARGV[7] then
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', tonumber(ARGV[5]) + 1))
end
return answer('ok')
