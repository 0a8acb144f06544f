-- probe: could an exchange be recorded here? Asked by readiness.
-- KEYS: layout, events; ARGV from 5: undrained limit, the worker's clock

local problem = unwell()
if problem then return answer(problem) end

if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[5]) then return answer('too_many_undrained_events') end
if clocks_differ(milliseconds(), ARGV[6]) then return answer('clocks_differ') end
return answer('ok')
