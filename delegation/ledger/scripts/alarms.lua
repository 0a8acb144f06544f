-- alarms: the latest here, newest first, and how many there have been of each cause.
-- KEYS: layout, alarms, counts of alarms; ARGV from 5: the newest that is meant, count

local problem = unwell()
if problem then return answer(problem) end

local found = redis.call('XREVRANGE', KEYS[2], ARGV[5], '-', 'COUNT', ARGV[6])
return answer('ok', found, redis.call('HGETALL', KEYS[3]))
