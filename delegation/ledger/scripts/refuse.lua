-- refuse: the event of a refusal, within its client's cap. What is not written is counted.
-- KEYS: layout, refusals, caps, alarms, counts of alarms
-- ARGV from 5: client, event, cap per minute, undrained limit, cause if somebody should look or empty
--
-- An alarm is counted, be its event written or not: a flood hides none. The answer says whether it was
-- written.

local problem = unwell()
if problem then return answer(problem) end

local ALARMS_KEPT = 1000

local client, now, cause = ARGV[5], milliseconds(), ARGV[9]
local window = math.floor(now / WINDOW)
local cap = read_cap(KEYS[3], client)
local room = redis.call('XLEN', KEYS[2]) < tonumber(ARGV[8])
if cap and cap.window < window and room then
  settle(KEYS[2], client, cap, now)
  cap = nil
end
cap = cap or {window = window, written = 0, suppressed = 0}

local written = room and cap.written < tonumber(ARGV[7])
if written then
  cap.written = cap.written + 1
  write_event('refusals', KEYS[2], now, ARGV[6])
  if cause ~= '' then
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ALARMS_KEPT, '*',
      'at', string.format('%d', now), 'epoch', layout[4],
      'number', redis.call('HGET', KEYS[1], 'refusals'), 'event', ARGV[6])
  end
else
  cap.suppressed = cap.suppressed + 1
end
if cause ~= '' then redis.call('HINCRBY', KEYS[5], cause, 1) end
write_cap(KEYS[3], client, cap)
return answer('ok', written and 1 or 0)
