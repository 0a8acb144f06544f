-- refuse: the event of a refusal, within its client's cap. What is not written is counted.
-- KEYS: layout, refusals, caps; ARGV from 5: client, event, cap per minute, undrained limit

local problem = unwell()
if problem then return answer(problem) end

local client, now = ARGV[5], milliseconds()
local window = math.floor(now / WINDOW)
local cap = read_cap(KEYS[3], client)
local room = redis.call('XLEN', KEYS[2]) < tonumber(ARGV[8])
if cap and cap.window < window and room then
  settle(KEYS[2], client, cap, now)
  cap = nil
end
cap = cap or {window = window, written = 0, suppressed = 0}

if room and cap.written < tonumber(ARGV[7]) then
  cap.written = cap.written + 1
  write_event('refusals', KEYS[2], now, ARGV[6])
else
  cap.suppressed = cap.suppressed + 1
end
write_cap(KEYS[3], client, cap)
return answer('ok')
