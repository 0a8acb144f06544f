-- probe: could an exchange be recorded here? Asked by readiness.
-- KEYS: layout, events; ARGV from 5: undrained limit

local problem = unwell()
if problem then return answer(problem) end

if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[5]) then return answer('too_many_undrained_events') end
return answer('ok')
