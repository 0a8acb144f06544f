-- probe: could an exchange be recorded here? Asked by readiness.
-- KEYS: layout, events, refusals; ARGV from 5: undrained limit, the worker's clock
--
-- Besides: how many events and refusals wait here, and how far ahead of the worker's our clock is.

local problem = unwell()
if problem then return answer(problem) end

local events, refusals, now = redis.call('XLEN', KEYS[2]), redis.call('XLEN', KEYS[3]), milliseconds()
local status = 'ok'
if events >= tonumber(ARGV[5]) then
  status = 'too_many_undrained_events'
elseif clocks_differ(now, ARGV[6]) then
  status = 'clocks_differ'
end
return answer(status, events, refusals, now - tonumber(ARGV[6]))
