-- void: kill the record of an exchange whose token was never signed, with the event that says so.
-- KEYS: layout, record, live exchanges, events; ARGV from 5: root identity and id, event

local problem = unwell()
if problem then return answer(problem) end

if redis.call('DEL', KEYS[2]) == 1 then
  redis.call('ZREM', KEYS[3], ARGV[5])
  write_event('events', KEYS[4], milliseconds(), ARGV[6])
end
return answer('ok')
