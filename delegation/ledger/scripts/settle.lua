-- settle: write what was suppressed of the clients that have been silent since their window ended.
-- KEYS: layout, refusals, caps

local problem = unwell()
if problem then return answer(problem) end

local now = milliseconds()
local clients = redis.call('HKEYS', KEYS[3])
for _, client in ipairs(clients) do
  local cap = read_cap(KEYS[3], client)
  if cap.window < math.floor(now / WINDOW) then
    settle(KEYS[2], client, cap, now)
    redis.call('HDEL', KEYS[3], client)
  end
end
return answer('ok')
