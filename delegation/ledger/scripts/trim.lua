-- trim: drop the events up to a number, once they are safe elsewhere.
-- KEYS: layout, stream; ARGV from 5: number of the last event to drop

local problem = unwell()
if problem then return answer(problem) end

redis.call('XTRIM', KEYS[2], 'MINID', (tonumber(ARGV[5]) + 1) .. '-0')
return answer('ok')
